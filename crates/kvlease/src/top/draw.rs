//! Drawing of the screen: the table of nodes, the account of the chosen one, the keys.

use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState},
};

use super::board::{Board, COLUMNS};
use crate::{commands::account, text::printable};

/// Widths of the columns behind the first, which takes what is left.
const WIDTHS: [u16; COLUMNS.len() - 1] = [9, 15, 9, 7, 9, 10, 9, 7, 10];

/// Lines around the rows of the table: its head and its borders.
const AROUND: u16 = 3;

/// Line of the keys.
const KEYS: &str = "q end   \u{2191}\u{2193} choose   s sort by the next column   r turn the order";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, has_colours: bool) {
    let rows = board.rows();
    let wanted = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(AROUND);
    let most = frame.area().height / 2;
    let heights = [
        Constraint::Length(wanted.min(most.max(AROUND + 1))),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [above, below, last] = Layout::vertical(heights).areas(frame.area());
    let coloured = |color: Color| match has_colours {
        true => Style::new().fg(color),
        false => Style::new(),
    };
    let table = rows.iter().map(|(_, row)| {
        let style = if row.is_out() { coloured(Color::Red) } else { Style::new() };
        Row::new(row.cells().map(Cell::from)).style(style)
    });
    let order = board.order();
    let mark = if order.is_descending { '\u{25bc}' } else { '\u{25b2}' };
    let head = COLUMNS.iter().enumerate().map(|(number, name)| match number == order.column {
        true => Cell::from(format!("{name}{mark}")),
        false => Cell::from(*name),
    });
    let widths = [Constraint::Min(20)].into_iter().chain(WIDTHS.map(Constraint::Length));
    let table = Table::new(table, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::new().borders(Borders::ALL).title("kvlease top"));
    let place = rows.iter().position(|(number, _)| Some(*number) == board.chosen());
    let mut state = TableState::new().with_selected(place);
    frame.render_stateful_widget(table, above, &mut state);
    let (title, text) = chosen(board);
    let block = Block::new().borders(Borders::ALL).title(title);
    frame.render_widget(Paragraph::new(text).block(block), below);
    frame.render_widget(Line::styled(KEYS, coloured(Color::DarkGray)), last);
}

/// Title and text about the chosen node.
fn chosen(board: &Board) -> (String, String) {
    let Some(row) = board.chosen_row() else { return Default::default() };
    let title = printable(&row.url);
    let Some(sample) = &row.last else { return (title, "no answer yet".to_owned()) };
    let reason = sample.state.reason().map(printable);
    let reason = reason.map(|reason| format!("  {}: {reason}\n", sample.state.word()));
    let account = sample.stats.as_ref().map(account).unwrap_or_default();
    (title, reason.unwrap_or_default() + &account)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

    use super::*;
    use crate::{
        nodes::{Sample, State},
        top::board::tests::sample,
    };

    fn drawn(board: &Board, has_colours: bool, size: (u16, u16)) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| draw(frame, board, has_colours)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn text(buffer: &Buffer) -> String {
        let width = buffer.area.width as usize;
        let symbols: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
        symbols.chunks(width).map(|line| line.concat() + "\n").collect()
    }

    fn two_nodes() -> Board {
        let mut board = Board::new(["http://a:1", "http://b:2"].map(str::to_owned));
        board.take(0, sample("1", 7, 3, ""));
        let state = State::Down("no answer".to_owned());
        board.take(1, Sample { state, stats: None, ..sample("2", 0, 0, "") });
        board
    }

    #[test]
    fn the_screen_has_a_row_for_each_node_and_the_account_of_the_chosen_one() {
        let mut board = two_nodes();
        let screen = text(&drawn(&board, true, (120, 30)));
        for part in ["http://a:1", "ready", "50% of 1000B", "down", "node\u{25b2}", "70.0 % of 10"]
        {
            assert!(screen.contains(part), "{part}: {screen}");
        }
        board.choose(1);
        let screen = text(&drawn(&board, true, (120, 30)));
        assert!(screen.contains("down: no answer"), "{screen}");
    }

    #[test]
    fn without_colours_no_cell_has_one() {
        let colours = |has_colours| {
            let buffer = drawn(&two_nodes(), has_colours, (120, 30));
            buffer.content.iter().filter(|cell| cell.fg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(colours(true) > 0);
    }

    #[test]
    fn no_size_of_the_terminal_is_too_small() {
        for size in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            drawn(&two_nodes(), true, size);
        }
    }
}
