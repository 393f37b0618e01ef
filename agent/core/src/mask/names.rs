//! Which names say that what they name is secret.

/// Parts of a name that say so wherever they are in it.
const ANYWHERE: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "accountkey",
    "sharedkey",
    "private",
    "credential",
    "auth",
    "signing",
    "dsn",
    "connection_string",
    "connectionstring",
    "connstr",
    "webhook",
    "kubeconfig",
    "pgpass",
];

/// Words that say so where the name is not about something around them ([`HARMLESS`]).
const WORDS: &[&str] = &[
    "key",
    "keys",
    "pass",
    "passwds",
    "pwd",
    "pwds",
    "pw",
    "pin",
    "pins",
    "pat",
    "pats",
    "salt",
    "salts",
    "pepper",
    "license",
    "licence",
    "licenses",
    "licences",
    "jwt",
    "jwts",
    "otp",
    "totp",
    "hmac",
    "psk",
    "sas",
    "sig",
    "signature",
    "creds",
    "cred",
    "cert",
    "certs",
    "certificate",
    "pem",
    "pfx",
    "p12",
    "keystore",
    "seed",
    "mnemonic",
    "cookie",
    "cookies",
    "bearer",
    "cipher",
    "encryption",
    "unlock",
];

/// Last words of names that are about a secret without being one: its size, its age, its place.
const HARMLESS: &[&str] = &[
    "alg",
    "algorithm",
    "arn",
    "bits",
    "column",
    "count",
    "days",
    "dir",
    "directory",
    "domain",
    "enabled",
    "expiry",
    "field",
    "file",
    "format",
    "header",
    "host",
    "hours",
    "interval",
    "length",
    "level",
    "max",
    "min",
    "minutes",
    "mode",
    "name",
    "names",
    "path",
    "port",
    "prefix",
    "region",
    "rotation",
    "schema",
    "seconds",
    "size",
    "space",
    "suffix",
    "table",
    "timeout",
    "ttl",
    "type",
    "version",
];

/// Whether a name says that its value is secret.
pub(super) fn is_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    if ANYWHERE.iter().any(|part| lower.contains(part)) {
        return true;
    }
    let words = words(name);
    let is_about = words.last().is_some_and(|last| HARMLESS.contains(&last.as_str()));
    !is_about && words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name, in lower case and without the digits behind them: `dbPwd2` and `DB_PWD_2` are `db` and `pwd`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins = before.is_lowercase() && letter.is_uppercase();
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    let plain = |word: &String| match word.as_str() {
        "p12" => word.clone(),
        word => word.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned(),
    };
    words.iter().map(plain).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // H12: names that were shown in clear.
    #[test]
    fn names_are_read_word_by_word() {
        let secret = [
            "DB_PWD2",
            "ENCRYPTION_KEYS",
            "GH_PAT",
            "COOKIE_SALT",
            "LICENSE",
            "LICENSE_KEY",
            "dbPwd",
            "stripeKey",
            "PGPASSWORD",
            "SharedAccessKey",
            "AccountKey",
            "Pwd",
            "TLS_KEY_PEM",
            "key",
            "PIN",
            "JWT",
            "SLACK_WEBHOOK_URL",
            "DATABASE_DSN",
            "HMAC_SHA",
            "KEY_PROD",
            "X-Api-Key",
            "spring.datasource.password",
            "PASS",
            "pw",
        ];
        for name in secret {
            assert!(is_secret(name), "{name}");
        }
        let plain = [
            "LOG_LEVEL",
            "PATH",
            "KEYCLOAK_URL",
            "KEYSPACE",
            "COMPASS_MODE",
            "PATTERN",
            "SPIN",
            "PASSENGERS",
            "KEY_PREFIX",
            "PARTITION_KEY_NAME",
            "TLS_CERT_FILE",
            "COOKIE_DOMAIN",
            "SIGNAL",
            "awslogs-group",
            "monkey",
            "DESALTER",
        ];
        for name in plain {
            assert!(!is_secret(name), "{name}");
        }
    }
}
