//! `kvlease top`: shows what daemons do, in a terminal, until it is ended.
//!
//! A thread asks all daemons at an interval; the terminal is drawn when an answer came, a key was
//! pressed or its size changed, and not between.

mod board;
mod draw;
mod rates;
mod sampler;

use std::{
    io::{self, IsTerminal, stdin, stdout},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use clap::Args;
use kvlease_client::Address;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use self::board::Board;
use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    interrupt,
    nodes::Node,
};

/// Longest wait for a key before answers are looked at.
const TURN: Duration = Duration::from_millis(250);

/// How long the screen may take to end after a signal.
const END_MAX: Duration = Duration::from_secs(1);

/// Variable that turns colours off, as no-color.org has it.
const NO_COLOR: &str = "NO_COLOR";

/// The arguments of `top`.
#[derive(Args, Debug)]
#[command(after_help = "\
Keys: q or Esc ends; arrows choose a node; s sorts by the next column, r the other way round.

Examples:
  kvlease top
  kvlease top http://node-1:9200 http://node-2:9200 --interval 5")]
pub(crate) struct TopArgs {
    /// The daemons [default: that of --url]
    #[arg(value_name = "URL", value_parser = arguments::url)]
    urls: Vec<Address>,
    /// Time between two looks, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("write a number of seconds from 0.1 to 3600".to_owned()),
    }
}

/// Shows the daemons until a key or a signal ends it.
pub(crate) fn run(daemon: &DaemonArgs, args: &TopArgs) -> Result<(), Failure> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let line = "top needs a terminal: use `kvlease status`, with `--json` for programs";
        return Err(Failure::new(Status::Usage, line));
    }
    let nodes = Node::all(daemon, &args.urls)?;
    let mut board = Board::new(nodes.iter().map(|node| node.url.clone()));
    let has_colours = std::env::var_os(NO_COLOR).is_none_or(|value| value.is_empty());
    let ended = Arc::new(AtomicBool::new(false));
    interrupt::on_signal({
        let ended = Arc::clone(&ended);
        move |status| {
            ended.store(true, Relaxed);
            // A terminal that is gone holds the other thread in its look for keys.
            thread::sleep(END_MAX);
            ratatui::restore();
            process::exit(status as i32);
        }
    })?;
    let samples = sampler::start(nodes, args.interval)?;
    let mut terminal = ratatui::try_init().map_err(no_terminal)?;
    let shown = show(&mut terminal, &mut board, &samples, &ended, has_colours);
    ratatui::restore();
    shown.map_err(no_terminal)
}

fn no_terminal(error: io::Error) -> Failure {
    Failure::new(Status::Io, format!("cannot use the terminal: check TERM, {error}"))
}

fn show(
    terminal: &mut DefaultTerminal,
    board: &mut Board,
    samples: &mpsc::Receiver<sampler::Taken>,
    ended: &AtomicBool,
    has_colours: bool,
) -> io::Result<()> {
    let mut is_stale = true;
    while !ended.load(Relaxed) {
        while let Ok((node, sample)) = samples.try_recv() {
            board.take(node, sample);
            is_stale = true;
        }
        if is_stale {
            terminal.draw(|frame| draw::draw(frame, board, has_colours))?;
            is_stale = false;
        }
        if !event::poll(TURN)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                if is_end(key) {
                    return Ok(());
                }
                press(board, key.code);
                is_stale = true;
            }
            Event::Resize(..) => is_stale = true,
            _ => {}
        }
    }
    Ok(())
}

fn is_end(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        || control && key.code == KeyCode::Char('c')
}

fn press(board: &mut Board, key: KeyCode) {
    match key {
        KeyCode::Up | KeyCode::Char('k') => board.choose(-1),
        KeyCode::Down | KeyCode::Char('j') => board.choose(1),
        KeyCode::Char('s') => board.sort_by_next(),
        KeyCode::Char('r') => board.turn_order(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{board::Order, *};

    #[test]
    fn keys_choose_and_sort() {
        let mut board = Board::new(["a", "b"].map(str::to_owned));
        press(&mut board, KeyCode::Down);
        assert_eq!(board.chosen(), Some(1));
        press(&mut board, KeyCode::Down);
        assert_eq!(board.chosen(), Some(1), "there is no third");
        press(&mut board, KeyCode::Up);
        assert_eq!(board.chosen(), Some(0));
        press(&mut board, KeyCode::Char('s'));
        assert_eq!(board.order(), Order { column: 1, is_descending: true });
        press(&mut board, KeyCode::Char('r'));
        assert_eq!(board.order(), Order { column: 1, is_descending: false });
        assert!(is_end(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!is_end(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE)));
    }
}
