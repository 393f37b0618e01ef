//! Where in a text something secret is: passwords in URLs and connection strings, values of secret-looking names and
//! flags, tokens by their prefix, addresses of webhooks, and long random words.

use super::{json, names};
use std::ops::Range;

/// How many letters of an address are looked at.
const LONGEST_ADDRESS: usize = 512;

const PREFIXES: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "sk_live_",
    "rk_live_",
    "sk_test_",
    "whsec_",
    "sk-",
    "SG.",
    "eyJ",
    "npm_",
    "pypi-",
    "dop_v1_",
    "hvs.",
    "AIza",
    "ya29.",
    "shpat_",
    "lin_api_",
];
/// Words after which the next one is secret.
const BEFORE: &[&str] = &["bearer", "authorization", "password", "passwd", "token", "secret"];
/// Words that do not end what [`BEFORE`] began.
const BETWEEN: &[&str] = &["bearer", "basic", "is", "token"];
/// Words of prose about secrets, as error messages have them: no secret.
const PROSE: &[&str] = &[
    "a",
    "an",
    "and",
    "are",
    "arn",
    "authentication",
    "by",
    "can",
    "cannot",
    "does",
    "endpoint",
    "exists",
    "expired",
    "failed",
    "for",
    "from",
    "has",
    "in",
    "included",
    "invalid",
    "is",
    "manager",
    "missing",
    "must",
    "named",
    "not",
    "of",
    "on",
    "or",
    "provided",
    "request",
    "required",
    "rejected",
    "store",
    "supplied",
    "that",
    "the",
    "to",
    "using",
    "value",
    "values",
    "version",
    "was",
    "with",
];
/// Names of which prose has a colon behind them: `registry auth: The task cannot …`.
const NOUNS: &[&str] =
    &["auth", "cert", "certificate", "key", "keys", "cipher", "cookie", "license", "signature", "seed"];
/// Parameters of an address that are secret, beside those whose name says so.
const PARAMETERS: &[&str] = &["code", "st", "sv"];
/// Hosts of webhooks whose path is the secret.
const HOOK_HOSTS: &[&str] =
    &["hooks.slack.com", "hooks.zapier.com", "webhook.office.com", "outlook.office.com", "hook.eu1.make.com"];

/// What of a text is secret by any rule: the ranges, in order, without overlaps.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = by_look(text);
    assignments(text, &mut found);
    words(text, &mut found);
    if found.is_empty() && json::text_is_secret(text) {
        found.push(0..text.len());
    }
    joined(found)
}

/// What is secret by its look alone, whatever surrounds it: for members of a fixed meaning.
pub(super) fn by_look(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    addresses(text, &mut found);
    keys(text, &mut found);
    for word in split(text, char::is_whitespace) {
        let written = &text[word.clone()];
        let begins = written.split([':', '=', '"', '\'']).map(|part| part.trim_start_matches(['(', '[', '{']));
        let is_token = begins.into_iter().any(|part| {
            part.len() >= 12 && PREFIXES.iter().any(|prefix| part.starts_with(prefix)) && !written.starts_with("arn:")
        });
        if is_token || is_aws_secret(&text[bare(text, word.clone())]) {
            found.push(bare(text, word));
        }
    }
    joined(found)
}

/// Whether a word looks like the secret part of an AWS access key: forty letters of base64, of all kinds. A hash has digits
/// and letters of one case only.
fn is_aws_secret(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|byte| kind(&byte));
    word.len() == 40
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && !word.starts_with('/')
}

/// Whole blocks of a key.
fn keys(text: &str, found: &mut Vec<Range<usize>>) {
    if let Some(start) = text.find("-----BEGIN") {
        let end =
            text.rfind("-----END").map_or(text.len(), |at| text[at..].find('\n').map_or(text.len(), |end| at + end));
        found.push(start..end.max(start));
    }
}

/// Addresses with a password, with a secret parameter, or of a webhook: hidden as a whole.
fn addresses(text: &str, found: &mut Vec<Range<usize>>) {
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '`' | '\\');
    let mut done = 0;
    for (at, _) in text.match_indices("://") {
        if at < done {
            continue;
        }
        let is_scheme = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '.' | '-' | ':');
        let start = text[..at].char_indices().rev().take_while(|(_, letter)| is_scheme(*letter)).last();
        let start = start.map_or(at, |(start, _)| start);
        let rest = &text[at + 3..];
        let near = rest.char_indices().take(LONGEST_ADDRESS).find(|(_, letter)| is_end(*letter)).map(|(end, _)| end);
        let near = near.or_else(|| rest.char_indices().nth(LONGEST_ADDRESS).map(|(end, _)| end)).unwrap_or(rest.len());
        if address_is_secret(text[start..at].rsplit(':').next().unwrap_or_default(), &rest[..near]) {
            done = at + 3 + rest.find(is_end).unwrap_or(rest.len());
            found.push(start..done);
        }
    }
    // Oracle's form has no `//` before the password: `jdbc:oracle:thin:scott/tiger@host`.
    if let Some(at) = text.find("jdbc:oracle:") {
        let end = text[at..].find(char::is_whitespace).map_or(text.len(), |end| at + end);
        if text[at..end].split_once('@').is_some_and(|(user, _)| user.contains('/')) {
            found.push(at..end);
        }
    }
}

/// Schemes whose user alone is a token: nobody logs in by a name there without a password.
const TOKEN_SCHEMES: &[&str] = &["http", "https", "amqp", "amqps", "redis", "rediss"];

/// An address: the last part of its scheme, and what follows.
fn address_is_secret(scheme: &str, rest: &str) -> bool {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let is_token = !user.is_empty() && !user.contains(':') && TOKEN_SCHEMES.contains(&&*scheme.to_ascii_lowercase());
    let is_long = user.len() >= 16;
    let has_password = user.split_once(':').is_some_and(|(_, password)| !password.is_empty()) || is_long || is_token;
    // A password may hold what ends an authority: `me:p/w@host`. A port has digits only.
    let is_cut = user.is_empty()
        && path.contains('@')
        && authority.rsplit_once(':').is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()));
    let (path, query) = path.split_once(['?', '#']).unwrap_or((path, ""));
    let has_parameter =
        query.split(['&', ';', '#', '?']).filter_map(|pair| pair.split_once('=')).any(|(name, value)| {
            let is_named = names::is_secret(name) || PARAMETERS.contains(&name.to_lowercase().as_str());
            is_named && !value.is_empty()
        });
    has_password || is_cut || has_parameter || is_webhook(host, path)
}

/// Whether the path of an address is a webhook's token.
fn is_webhook(host: &str, path: &str) -> bool {
    let host = host.to_lowercase();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if HOOK_HOSTS.iter().any(|known| host == *known || host.ends_with(&format!(".{known}"))) {
        return !segments.is_empty();
    }
    // Telegram's bots: /bot123:token/
    if segments.iter().any(|segment| {
        segment.strip_prefix("bot").and_then(|rest| rest.split_once(':')).is_some_and(|(_, token)| !token.is_empty())
    }) {
        return true;
    }
    let is_hook = |segment: &&str| segment.to_lowercase().contains("hook") || *segment == "integration";
    let after = if host.starts_with("hook") { Some(0) } else { segments.iter().position(is_hook).map(|at| at + 1) };
    after.is_some_and(|at| {
        let is_token = |segment: &&str| segment.len() >= 16 || segment.bytes().any(|byte| byte.is_ascii_digit());
        segments[at..].iter().any(is_token)
    })
}

/// `name=value`, `name: value`, `"name": "value"`, `<name>value` where the name says that it is secret.
fn assignments(text: &str, found: &mut Vec<Range<usize>>) {
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-');
    let is_quote = |letter: char| matches!(letter, '"' | '\'' | '\\');
    let mut done = 0;
    for (at, separator) in text.char_indices().filter(|(_, letter)| matches!(letter, '=' | ':' | '>')) {
        if at < done {
            continue;
        }
        let before = text[..at].trim_end_matches(' ').trim_end_matches(is_quote);
        let start = before.char_indices().rev().take_while(|(_, letter)| is_name(*letter)).last();
        let Some(start) = start.map(|(start, _)| start) else { continue };
        let name = before[start..].trim_start_matches('-');
        let previous = text[..start].chars().next_back();
        let is_plausible = match separator {
            '>' => previous == Some('<'),
            // Not the middle of an ARN, of a path, or of a place in a file.
            ':' => {
                let is_apart = previous.is_none_or(|letter| !matches!(letter, ':' | '/' | '@'));
                is_apart && !text[at + 1..].starts_with("//")
            }
            _ => true,
        };
        if !is_plausible || !names::is_secret(name) {
            continue;
        }
        let is_quoted = before.len() < text[..at].trim_end_matches(' ').len();
        let after = &text[at + 1..];
        if separator == ':' && !is_quoted && after.starts_with(' ') && NOUNS.contains(&name) {
            continue;
        }
        let mut from = at + 1 + (after.len() - after.trim_start_matches([' ', '=', '>']).len());
        if let Some(word) = scheme(&text[from..]) {
            from += word;
        }
        let range = value(text, from);
        if !range.is_empty() && !matches!(&text[range.clone()], "null" | "true" | "false") {
            // What is hidden is read once.
            done = range.end;
            found.push(range);
        }
    }
}

/// How long `Bearer ` or the like is at the start of a value.
fn scheme(value: &str) -> Option<usize> {
    let lead = value.len() - value.trim_start_matches(['"', '\'']).len();
    let word = value[lead..].split(' ').next().unwrap_or_default();
    let is_scheme = BETWEEN.contains(&word.to_lowercase().as_str()) && value[lead..].len() > word.len() + 1;
    is_scheme.then_some(lead + word.len() + 1)
}

/// The value that begins here: to its closing quote, or to where the next thing begins.
fn value(text: &str, from: usize) -> Range<usize> {
    let rest = &text[from..];
    let opening = rest.trim_start_matches('\\').chars().next().filter(|letter| matches!(letter, '"' | '\''));
    if let Some(quote) = opening {
        let start = rest.find(quote).map_or(from, |at| from + at + 1);
        let mut is_escaped = false;
        let is_nested = rest.starts_with('\\');
        let end = text[start..].char_indices().find(|(_, letter)| {
            let ends = *letter == quote && (is_nested || !is_escaped);
            is_escaped = *letter == '\\' && !is_escaped;
            ends
        });
        let end = end.map_or(text.len(), |(at, _)| start + at);
        let end = if is_nested { start + text[start..end].trim_end_matches('\\').len() } else { end };
        return start..end;
    }
    if rest.starts_with(['{', '[']) {
        return from..text.len();
    }
    let ends = |letter: char| {
        letter.is_whitespace() || matches!(letter, ';' | ',' | '&' | '"' | '\'' | '|' | ')' | '}' | '<' | '`' | '\\')
    };
    from..from + rest.find(ends).unwrap_or(rest.len())
}

/// Words: what follows `Bearer` or a secret's flag, and long random ones.
fn words(text: &str, found: &mut Vec<Range<usize>>) {
    let names_program = |names: &[&str]| names.iter().any(|name| text.contains(name));
    let (redis, sshpass, mysql) =
        (names_program(&["redis-cli"]), names_program(&["sshpass"]), names_program(&["mysql", "mariadb"]));
    let (mut is_next, mut is_login) = (false, false);
    for word in split(text, char::is_whitespace) {
        let range = bare(text, word.clone());
        let (written, plain) = (&text[word.clone()], &text[range.clone()]);
        if plain.is_empty() {
            continue;
        }
        let lowered = plain.to_lowercase();
        if std::mem::take(&mut is_next) {
            if BETWEEN.contains(&lowered.as_str()) {
                is_next = true;
                continue;
            }
            let names_another = written.starts_with('-') || written.starts_with("arn:");
            if !PROSE.contains(&lowered.as_str()) && !names_another {
                found.push(range);
                continue;
            }
        }
        if std::mem::take(&mut is_login) && plain.contains(':') {
            found.push(range);
            continue;
        }
        if mysql && written.starts_with("-p") && written.len() > 4 {
            found.push(word.start + 2..word.end);
            continue;
        }
        if written.starts_with('-') {
            is_login = matches!(written, "-u" | "--user" | "--proxy-user");
            let is_named = !written.contains(['=', ':']) && names::is_secret(written.trim_start_matches('-'));
            is_next = is_named || (redis && written == "-a") || (sshpass && written == "-p");
        } else {
            // A name with a sign behind it is an assignment.
            is_next = BEFORE.contains(&lowered.as_str()) && !written.contains([':', '=']);
        }
        random_parts(text, word, found);
    }
}

/// The long random parts of a word.
fn random_parts(text: &str, word: Range<usize>, found: &mut Vec<Range<usize>>) {
    let is_sign = |letter: char| {
        matches!(letter, '"' | '\'' | ',' | ';' | '&' | '|' | '(' | ')' | '<' | '>' | '{' | '}' | '[' | ']')
    };
    for part in split(&text[word.clone()], is_sign) {
        let (start, end) = (word.start + part.start, word.start + part.end);
        // A value behind its name.
        let from = text[start..end].find('=').map_or(start, |at| start + at + 1);
        if from < end && looks_random(&text[from..end]) {
            found.push(bare(text, from..end));
        }
    }
}

/// A long word of letters and digits in no order, as keys are. Digests and ids of AWS have only hex digits and stay.
fn looks_random(word: &str) -> bool {
    let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
    let plain = word.len() >= 24 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/_-=".contains(&byte));
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let path = word.matches('/').count() > 1 || word.matches('-').count() > 2;
    plain && !hex && !path && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// The parts between separators.
fn split(text: &str, is_separator: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split_inclusive(is_separator).map(move |part| {
        let start = at;
        at += part.len();
        start..start + part.trim_end_matches(is_separator).len()
    })
}

/// A word without the signs around it.
fn bare(text: &str, word: Range<usize>) -> Range<usize> {
    let is_sign = |letter: char| !letter.is_alphanumeric();
    let written = &text[word.clone()];
    let start = word.start + (written.len() - written.trim_start_matches(is_sign).len());
    let end = word.end - (written.len() - written.trim_end_matches(is_sign).len());
    start..end.max(start)
}

/// Ranges in order, where they touch as one.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
