//! A line that is typed and not shown.

use std::io::{BufRead, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::cli::CliError;

/// Asks for one line without echo. Keys that would end the program are characters meanwhile, so that it
/// never ends with the echo switched off; a line with one in it is no line.
pub(super) fn hidden(question: &str) -> Result<Zeroizing<String>, CliError> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| CliError::cannot("ask", &error))?;
    let mut silent = before.clone();
    silent
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
    let line = {
        let _shown_again = ShownAgain(before);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)
            .map_err(|error| CliError::cannot("ask", &error))?;
        let mut error_stream = std::io::stderr().lock();
        // A question that cannot be shown is still answered.
        let _ = write!(error_stream, "{question}").and_then(|()| error_stream.flush());
        let mut line = Zeroizing::new(String::with_capacity(70_000));
        let read = stdin.lock().read_line(&mut line);
        let _ = writeln!(error_stream);
        read.map_err(|error| CliError::cannot("read the value", &error))?;
        line
    };
    if line
        .trim_end_matches(['\r', '\n'])
        .chars()
        .any(|c| c.is_ascii_control() && c != '\t')
    {
        return Err(CliError::Failed("nothing was kept".to_owned()));
    }
    Ok(line)
}

/// Switches the echo on again, however the asking ends.
struct ShownAgain(Termios);

impl Drop for ShownAgain {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
