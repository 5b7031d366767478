//! `kvlease doctor`: looks for what is wrong around a client, or around a daemon that is to start.
//!
//! A check says what it saw. What it could not see is told as not checked, with the reason.

mod args;
mod certificates;
mod configured;
mod lane;
mod lmcache_keys;
mod names;
mod place;
mod reached;
mod report;
mod segment;
mod setup;
mod store;
mod tenancy;
mod tier;
mod variables;
mod yaml;

use std::process::ExitCode;

use kvlease_client::Client;

pub(crate) use self::args::DoctorArgs;
use self::{
    report::{Report, Side},
    setup::Setup,
    variables::Variables,
};
use crate::{
    arguments::DaemonArgs,
    failure::Failure,
    text::{note, print},
};

/// Exit statuses of findings, and of a look that could not be made.
const FINDINGS: u8 = 1;
const NO_LOOK: u8 = 2;

/// Looks, and prints what is wrong.
pub(crate) fn run(daemon: &DaemonArgs, args: &DoctorArgs) -> ExitCode {
    let side = if args.serve { Side::Daemon } else { Side::Client };
    let variables = Variables::of_process();
    let report = match side {
        Side::Client => super::wait_for(look_as_client(daemon, args, &variables)),
        Side::Daemon => super::wait_for(place::look(args, &variables)),
    };
    let printed = report.and_then(|report| {
        print(&report, |report| report.lines(side), args.json)?;
        Ok(report.has_findings())
    });
    match printed {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => FINDINGS.into(),
        Err(failure) => {
            note(format_args!("kvlease: {failure}"));
            NO_LOOK.into()
        }
    }
}

async fn look_as_client(
    daemon: &DaemonArgs,
    args: &DoctorArgs,
    variables: &Variables,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    let url = daemon.url();
    let setup = Setup::read(args, url, variables)?;
    configured::check(&setup, variables, &mut report);
    let settings = match &setup.settings {
        Ok(settings) => settings,
        Err(_) => {
            let why = "the settings are refused";
            reached::unseen(why, &mut report);
            lane::unseen(why, &mut report);
            segment::unseen(why, &mut report);
            return Ok(report);
        }
    };
    let mut config = settings.connector_config().client;
    daemon.add_credentials(&mut config);
    let client = Client::new(config);
    let reached = reached::check(&client, &mut report).await;
    let has_lane = lane::check(&setup, settings, reached.as_ref(), &mut report).await;
    reached::caller(reached.as_ref(), has_lane, &mut report);
    segment::check(&setup, settings, reached.as_ref(), has_lane, &mut report);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::names::Name;

    /// Cells of a row of the table, without marks of code.
    fn cells(line: &str) -> Vec<String> {
        let inside = line.trim().trim_matches('|');
        inside.split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn the_document_has_every_finding_and_the_test_that_makes_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document = fs::read_to_string(root.join("../../docs/doctor.md")).unwrap();
        let folder = fs::read_dir(root.join("tests/integration/doctor")).unwrap();
        let sources = folder.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        let sources: String = sources.collect();
        let rows: Vec<_> =
            document.lines().map(cells).filter(|row| row.len() == 4 && is_name(&row[0])).collect();
        assert_eq!(rows.len(), Name::ALL.len());
        let listed: BTreeSet<_> = rows.iter().map(|row| row[0].as_str()).collect();
        let known: BTreeSet<_> = Name::ALL.iter().map(|name| name.text()).collect();
        assert_eq!(listed, known);
        for row in &rows {
            let test = format!("fn {}()", row[3]);
            let body = sources.split(&test).nth(1).unwrap_or_else(|| panic!("no test: {}", row[3]));
            let body = body.split("\n#[test]").next().unwrap();
            assert!(
                body.contains(&format!("\"{}\"", row[0])),
                "{} does not name {}",
                row[3],
                row[0]
            );
        }
    }

    /// Whether a cell is a name of a finding, as the form of it tells.
    fn is_name(cell: &str) -> bool {
        let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        cell.contains('-') && cell.bytes().all(is_inside) && !cell.starts_with('-')
    }
}
