//! Queue whose transfers are made by threads that block.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use super::{Completed, Direction, Queue, Transfer, Wake};

enum Event {
    Completed(Completed),
    Woken,
}

/// Queue whose transfers are made by threads.
pub(super) struct ThreadQueue {
    /// `None` while it is dropped.
    transfers: Option<Sender<Transfer>>,
    events: Receiver<Event>,
    waker: Arc<EventSender>,
    threads: Vec<JoinHandle<()>>,
}

struct EventSender(Sender<Event>);

impl ThreadQueue {
    /// Starts `depth` threads.
    pub(super) fn new(file: &Arc<File>, depth: usize) -> io::Result<Self> {
        let (transfers, receiver) = mpsc::channel();
        let (sender, events) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut queue = Self {
            transfers: Some(transfers),
            events,
            waker: Arc::new(EventSender(sender.clone())),
            threads: Vec::with_capacity(depth),
        };
        for _ in 0..depth {
            let (file, receiver, sender) =
                (Arc::clone(file), Arc::clone(&receiver), sender.clone());
            let thread = thread::Builder::new().name("kvlease-nvme-io".to_owned());
            queue.threads.push(thread.spawn(move || run(&file, &receiver, &sender))?);
        }
        Ok(queue)
    }
}

/// Makes transfers until the queue is dropped.
fn run(file: &File, transfers: &Mutex<Receiver<Transfer>>, events: &Sender<Event>) {
    loop {
        let next = transfers.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(transfer) = next else { return };
        let Transfer { token, direction, offset, mut buffer, len, shared, .. } = transfer;
        debug_assert!(shared.is_empty(), "the queue takes no shared memory");
        let result = match direction {
            Direction::Read => file.read_exact_at(&mut buffer[..len], offset),
            Direction::Write => file.write_all_at(&buffer[..len], offset),
        };
        if events.send(Event::Completed(Completed { token, buffer, shared, result })).is_err() {
            return;
        }
    }
}

impl Queue for ThreadQueue {
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::<EventSender>::clone(&self.waker)
    }

    fn submit(&mut self, transfer: Transfer) {
        let transfers = self.transfers.as_ref().expect("it is there until drop");
        transfers.send(transfer).expect("the threads live as long as the queue");
    }

    fn wait(&mut self, completed: &mut Vec<Completed>) {
        let first = self.events.recv().expect("the queue has a sender itself");
        for event in std::iter::once(first).chain(self.events.try_iter()) {
            match event {
                Event::Completed(transfer) => completed.push(transfer),
                Event::Woken => {}
            }
        }
    }
}

impl Wake for EventSender {
    fn wake(&self) {
        // Without a receiver the worker is gone, and nothing waits.
        let _ = self.0.send(Event::Woken);
    }
}

/// The threads end with the transfers that they make: the file is closed when this returns.
impl Drop for ThreadQueue {
    fn drop(&mut self) {
        self.transfers = None;
        for thread in self.threads.drain(..) {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}
