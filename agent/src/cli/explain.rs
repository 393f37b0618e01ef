//! `lockstep explain`.

use crate::{
    exit::{Exit, Failure},
    output::{self, Format, paint},
};
use clap::Args;
use lockstep_manifests::codes;

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// A code like LS0101; all of them where none is given.
    code: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, format: Format) -> Result<Exit, Failure> {
    let chosen = match &args.code {
        None => codes::ALL.to_vec(),
        Some(id) => match codes::find(id) {
            Some(code) => vec![code],
            None => {
                return Err(Failure::new(Exit::Usage, format!("there is no code `{id}`")));
            }
        },
    };
    match format {
        Format::Json => {
            let list: Vec<_> = chosen
                .iter()
                .map(|code| serde_json::json!({"code": code.id, "title": code.title, "page": code.page}))
                .collect();
            output::data(&output::json(&list));
        }
        Format::Text if args.code.is_none() => {
            for code in chosen {
                output::data(&format!("{}  {}", code.id, code.title));
            }
        }
        Format::Text => {
            for code in chosen {
                output::data(&format!("{}  {}\n\n{}", paint::strong(code.id), code.title, code.page));
            }
        }
    }
    Ok(Exit::Done)
}
