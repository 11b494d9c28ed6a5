//! Queue and functions in memory, with failures on demand: no sequence of them
//! loses a message.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::redrive::message::{Source, unwrap};

/// How an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// Nothing happens, and an error comes back.
    Refused,
    /// It happens, and an error comes back.
    ReplyLost,
    /// It happens, after so long that all messages show again.
    Late,
}

#[derive(Debug, Clone)]
struct Stored {
    body: String,
    hidden_until: u64,
    receipt: u64,
}

/// One queue and its functions.
#[derive(Default)]
struct World {
    stored: RefCell<BTreeMap<String, Stored>>,
    done: RefCell<BTreeSet<String>>,
    fates: RefCell<VecDeque<Fate>>,
    now: Cell<u64>,
    receipts: Cell<u64>,
}

/// Lets the task stop here: a crash between two operations.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl World {
    fn with(count: usize) -> Self {
        let world = Self::default();
        for number in 0..count {
            let stored = Stored {
                body: format!(r#"{{"detail-type": "any", "number": {number}}}"#),
                hidden_until: 0,
                receipt: 0,
            };
            world
                .stored
                .borrow_mut()
                .insert(format!("message-{number}"), stored);
        }
        world
    }

    async fn operation<T>(&self, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
        Pause(false).await;
        let fate = self.fates.borrow_mut().pop_front().unwrap_or(Fate::Done);
        self.now.set(self.now.get() + 1);
        if fate == Fate::Late {
            self.now.set(self.now.get() + HIDDEN_FOR.as_secs());
        }
        let answer = match fate {
            Fate::Refused => return Err("refused".into()),
            _ => work(),
        };
        Pause(false).await;
        match fate {
            Fate::ReplyLost => Err("connection reset".into()),
            _ => answer,
        }
    }

    fn in_flight(&self, message: &Message, work: impl FnOnce(&mut Stored)) -> Result<(), Trouble> {
        let mut stored = self.stored.borrow_mut();
        let stored = stored.get_mut(&message.id).ok_or("no such message")?;
        if stored.hidden_until <= self.now.get() || stored.receipt.to_string() != message.receipt {
            return Err("the message is not in flight".into());
        }
        work(stored);
        Ok(())
    }

    fn left(&self) -> BTreeSet<String> {
        self.stored.borrow().keys().cloned().collect()
    }
}

impl Queue for &World {
    async fn receive(&self) -> Result<Vec<Message>, Trouble> {
        self.operation(|| {
            let now = self.now.get();
            let mut stored = self.stored.borrow_mut();
            let visible = stored
                .iter_mut()
                .filter(|(_, stored)| stored.hidden_until <= now);
            Ok(visible
                .take(3)
                .map(|(id, stored)| {
                    self.receipts.set(self.receipts.get() + 1);
                    stored.receipt = self.receipts.get();
                    stored.hidden_until = now + HIDDEN_FOR.as_secs();
                    Message {
                        id: id.clone(),
                        receipt: stored.receipt.to_string(),
                        body: stored.body.clone(),
                        attributes: BTreeMap::from([(
                            "TARGET_ARN".to_owned(),
                            "arn:aws:lambda:r:1:function:pw-events".to_owned(),
                        )]),
                        sent_at: None,
                    }
                })
                .collect())
        })
        .await
    }

    async fn hide(&self, message: &Message) -> Result<(), Trouble> {
        let until = self.now.get() + HIDDEN_FOR.as_secs();
        self.operation(|| self.in_flight(message, |stored| stored.hidden_until = until))
            .await
    }

    async fn show(&self, message: &Message) -> Result<(), Trouble> {
        self.operation(|| self.in_flight(message, |stored| stored.hidden_until = 0))
            .await
    }

    /// As SQS does, an older receipt of the message is taken too.
    async fn delete(&self, message: &Message) -> Result<(), Trouble> {
        self.operation(|| {
            self.stored.borrow_mut().remove(&message.id);
            Ok(())
        })
        .await
    }
}

impl Functions for &World {
    async fn invoke(&self, function: &str, payload: &str) -> Result<Value, Trouble> {
        assert_eq!(function, "pw-events");
        self.operation(|| {
            self.done.borrow_mut().insert(payload.to_owned());
            Ok(Value::Null)
        })
        .await
    }
}

/// One run of the command over those messages whose numbers are chosen.
async fn run(world: &World, chosen: &[bool]) {
    let held = Held::nothing_of(world);
    if held.receive(100).await.is_ok() {
        for message in held.messages() {
            let number: usize = message.id["message-".len()..].parse().unwrap();
            if chosen[number % chosen.len()] {
                let failure = unwrap(Source::UndeliveredEvents, &message).unwrap();
                drop(
                    held.replay(&message, &world, &failure.function, &failure.payload)
                        .await,
                );
            }
        }
    }
    held.release().await;
}

/// Polls a run to its end, or until it dies after so many operations.
fn poll(run: impl Future<Output = ()>, dies_after: usize) {
    let mut run = std::pin::pin!(run);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..dies_after {
        if run.as_mut().poll(&mut context).is_ready() {
            return;
        }
    }
}

fn any_run() -> impl Strategy<Value = (Vec<Fate>, usize, Vec<bool>)> {
    let fate = prop_oneof![
        4 => Just(Fate::Done),
        1 => Just(Fate::Refused),
        1 => Just(Fate::ReplyLost),
        1 => Just(Fate::Late),
    ];
    let dies_after = prop_oneof![1 => 1_usize..60, 1 => Just(usize::MAX)];
    let chosen = prop::collection::vec(any::<bool>(), 1..6);
    (prop::collection::vec(fate, 0..40), dies_after, chosen)
}

proptest! {
    #[test]
    fn no_sequence_of_failures_loses_a_message(
        count in 0_usize..12,
        runs in prop::collection::vec(any_run(), 1..5),
    ) {
        let world = World::with(count);
        let bodies: BTreeMap<String, String> = world
            .stored
            .borrow()
            .iter()
            .map(|(id, stored)| (id.clone(), stored.body.clone()))
            .collect();
        let nothing_lost = || {
            let (left, done) = (world.left(), world.done.borrow());
            bodies.iter().all(|(id, body)| left.contains(id) || done.contains(body))
        };
        for (fates, dies_after, chosen) in runs {
            *world.fates.borrow_mut() = fates.into();
            poll(run(&world, &chosen), dies_after);
            prop_assert!(nothing_lost());
        }
        // When all is well again, one more run is enough.
        world.fates.borrow_mut().clear();
        world.now.set(world.now.get() + HIDDEN_FOR.as_secs() + 1);
        poll(run(&world, &[true]), usize::MAX);
        prop_assert!(nothing_lost());
        prop_assert_eq!(world.left(), BTreeSet::new());
    }

    #[test]
    fn what_was_not_chosen_shows_at_once(
        count in 0_usize..12,
        chosen in prop::collection::vec(any::<bool>(), 1..6),
    ) {
        let world = World::with(count);
        poll(run(&world, &chosen), usize::MAX);
        let expected: BTreeSet<String> = (0..count)
            .filter(|number| !chosen[number % chosen.len()])
            .map(|number| format!("message-{number}"))
            .collect();
        prop_assert_eq!(world.left(), expected);
        prop_assert!(world.stored.borrow().values().all(|stored| stored.hidden_until == 0));
        prop_assert_eq!(world.done.borrow().len() + world.left().len(), count);
    }
}

#[test]
fn a_message_whose_function_fails_stays() {
    let world = World::with(1);
    // Two calls find that there is nothing more; then hide, and the invocation.
    let fates = [
        Fate::Done,
        Fate::Done,
        Fate::Done,
        Fate::Done,
        Fate::Refused,
    ];
    *world.fates.borrow_mut() = fates.into();
    poll(run(&world, &[true]), usize::MAX);
    assert_eq!(world.left().len(), 1);
    assert!(world.done.borrow().is_empty());
    assert!(
        world
            .stored
            .borrow()
            .values()
            .all(|stored| stored.hidden_until == 0)
    );
}

#[test]
fn a_limit_ends_the_receiving() {
    let world = World::with(10);
    let more = async {
        let held = Held::nothing_of(&world);
        assert!(held.receive(4).await.unwrap());
        assert_eq!(held.messages().len(), 6);
        held.release().await;
    };
    poll(more, usize::MAX);
    assert_eq!(world.left().len(), 10);
}

#[test]
fn a_discarded_message_is_gone_and_its_function_hears_nothing() {
    let world = World::with(2);
    let discard = async {
        let held = Held::nothing_of(&world);
        held.receive(100).await.unwrap();
        held.discard(&held.messages()[0]).await.unwrap();
        held.release().await;
    };
    poll(discard, usize::MAX);
    assert_eq!(world.left(), BTreeSet::from(["message-1".to_owned()]));
    assert!(world.done.borrow().is_empty());
}

#[test]
fn what_others_may_have_read_before_the_yes_is_not_discarded() {
    let world = World::with(1);
    let discard = async {
        let held = Held::nothing_of(&world);
        held.receive(100).await.unwrap();
        world.now.set(world.now.get() + HIDDEN_FOR.as_secs());
        let error = held.discard(&held.messages()[0]).await.unwrap_err();
        assert!(matches!(error, DiscardError::NotHeld(_)), "{error}");
    };
    poll(discard, usize::MAX);
    assert_eq!(world.left().len(), 1);
}
