//! Looks at a real directory with the agent's own eyes: `look CONFIG.toml [check | enumerate | lookup VALUE |
//! missing (EXTERNAL_ID DN)…]`. The last one shows where the entries come from, and the result of a second look.
//! For development against servers started by hand.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use postern_directory::{Directory, DirectoryConfig, Phase, Sought};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which configuration file?")?;
    let config: DirectoryConfig = toml::from_str(&std::fs::read_to_string(file)?)?;
    let directory = Directory::new(config)?;
    match arguments.next().as_deref() {
        None | Some("check") => check(&directory).await,
        Some("enumerate") => enumerate(&directory).await,
        Some("lookup") => {
            let value = arguments.next().ok_or("which user?")?;
            writeln!(std::io::stdout(), "{:#?}", directory.lookup_user(&value).await)?;
            Ok(())
        }
        Some("missing") => missing(&directory, arguments.collect()).await,
        Some(other) => Err(format!("what is {other}?").into()),
    }
}

async fn missing(directory: &Directory, arguments: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut enumeration = directory.enumerate(CancellationToken::new());
    let mut out = std::io::stdout();
    writeln!(out, "{:#?}", enumeration.source().await)?;
    while let Some(page) = enumeration.next().await {
        page?;
    }
    let sought: Vec<Sought> = arguments
        .chunks_exact(2)
        .map(|pair| Sought { phase: Phase::Users, external_id: pair[0].clone(), last_dn: pair[1].clone() })
        .collect();
    let sights = enumeration.second_look().look(&sought).await?;
    for (one, sight) in sought.iter().zip(sights) {
        writeln!(out, "{sight:?} {}", one.last_dn)?;
    }
    Ok(())
}

async fn check(directory: &Directory) -> Result<(), Box<dyn Error>> {
    for check in directory.check().await {
        let mut out = std::io::stdout();
        writeln!(out, "{:?} {} ({} ms): {}", check.state, check.name, check.elapsed.as_millis(), check.detail_local)?;
        writeln!(out, "    public: {}", check.detail)?;
        if let Some(cure) = check.cure {
            writeln!(out, "    cure: {cure}")?;
        }
    }
    Ok(())
}

async fn enumerate(directory: &Directory) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut enumeration = directory.enumerate(CancellationToken::new());
    let mut first = None;
    let (mut values, mut members) = (0, 0);
    while let Some(page) = enumeration.next().await {
        let page = page.inspect_err(|error| {
            let _ = writeln!(std::io::stdout(), "{}\ncure: {:?}\n{error:#?}", error.public_message(), error.cure());
        })?;
        for record in &page.entries {
            values += record.attributes.iter().map(|(_, values)| values.len()).sum::<usize>();
            members += record.members.len();
        }
        first = first.or_else(|| page.entries.first().cloned());
    }
    let mut out = std::io::stdout();
    writeln!(out, "{first:#?}")?;
    let complete = enumeration.is_complete();
    writeln!(
        out,
        "{:?} values={values} members={members} complete={complete} {:?}",
        enumeration.totals(),
        began.elapsed()
    )?;
    Ok(())
}
