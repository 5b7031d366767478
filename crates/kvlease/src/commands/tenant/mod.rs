//! `kvlease tenant`: edits the tenants in a daemon's configuration.

mod add;
mod document;
mod replace;
mod shown;
mod token;

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use clap::{Args, Subcommand};

use crate::{
    failure::{Failure, Status},
    text::note,
};

use add::AddArgs;
use document::Document;
use token::Token;

/// The arguments of `tenant`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease tenant add chat --config /etc/kvlease.toml --token --read 'chat*' --write chat
  kvlease tenant list --config /etc/kvlease.toml --json
  kvlease tenant token chat --config /etc/kvlease.toml > chat.token

Rights are those of the daemon's start: restart it after `add` and `remove`. Files of tokens are read again \
by themselves.

Exit statuses: 0 done; 1 no such tenant, or add: it exists; 64 the daemon would refuse the file; 74 I/O error.")]
pub(crate) struct TenantArgs {
    /// The daemon's configuration, a TOML file
    #[arg(long, value_name = "FILE", env = "KVLEASE_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: TenantCommand,
}

#[derive(Subcommand, Debug)]
enum TenantCommand {
    /// Add a tenant
    Add(Box<AddArgs>),
    /// List the tenants, without hashes of tokens
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove a tenant, and tell what it leaves
    Remove {
        /// The tenant
        name: String,
    },
    /// Make a token for a tenant, print it once, and keep its hash
    Token {
        /// The tenant
        name: String,
        /// Text behind the hash, for people, where the tenant has a file of tokens
        #[arg(long, value_name = "TEXT", default_value = "made by kvlease tenant token")]
        label: String,
    },
}

/// Shows or edits the tenants.
pub(crate) fn run(args: TenantArgs) -> Result<(), Failure> {
    let path = args.config.filter(|path| !path.as_os_str().is_empty()).ok_or_else(|| {
        let line =
            "name the daemon's configuration: `--config FILE`, or the variable KVLEASE_CONFIG";
        Failure::new(Status::Usage, line)
    })?;
    match args.command {
        TenantCommand::List { json } => {
            let config = document::load(&path)?;
            let text = if json { shown::json(&config) } else { shown::table(&config) };
            stdout().write_all(text.as_bytes()).map_err(Failure::stdout)
        }
        TenantCommand::Add(args) => {
            let mut document = Document::read(&path)?;
            let token = add::add(&mut document, &args)?;
            document.write()?;
            if let (Some(token), Some(file)) = (&token, &args.token_file) {
                token.append_to(file, "made by kvlease tenant add")?;
            }
            note(format_args!("added the tenant `{}`: restart the daemon", args.name));
            token.map_or(Ok(()), |token| print(&token))
        }
        TenantCommand::Remove { name } => {
            let left = shown::left_by(&document::load(&path)?, &name);
            let mut document = Document::read(&path)?;
            if !document.remove(&name)? {
                return Err(absent(&name));
            }
            document.write()?;
            note(format_args!("removed the tenant `{name}`: restart the daemon"));
            left.iter().for_each(|line| note(format_args!("left: {line}")));
            Ok(())
        }
        TenantCommand::Token { name, label } => {
            let config = document::load(&path)?;
            let tenant = config.tenants.get(&name).ok_or_else(|| absent(&name))?;
            let token = Token::draw()?;
            match &tenant.token_file {
                Some(file) => token.append_to(file, &label)?,
                None => {
                    let mut document = Document::read(&path)?;
                    document.add_token(&name, &token)?;
                    document.write()?;
                    note(format_args!("its hash is in the configuration: restart the daemon"));
                }
            }
            print(&token)
        }
    }
}

fn print(token: &Token) -> Result<(), Failure> {
    note(format_args!("the token is shown this once:"));
    writeln!(stdout(), "{}", token.secret()).map_err(Failure::stdout)
}

fn absent(name: &str) -> Failure {
    let name = crate::text::printable(name);
    let line = format!("no such tenant: see `kvlease tenant list`, tenant=`{name}`");
    Failure::new(Status::Absent, line)
}
