//! Work spread over threads, with results in the order of the items.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

/// `f(0), f(1), ... f(items - 1)`, computed by up to `threads` threads. Each
/// item is computed on its own, so the results don't depend on the number of
/// threads. `progress(done, items)` is called from the caller's thread.
///
/// # Panics
/// If `f` does.
pub fn map<T: Send>(
    items: usize,
    threads: usize,
    f: impl Fn(usize) -> T + Sync,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<T> {
    let threads = threads.min(items);
    if threads <= 1 {
        return (0..items)
            .map(|item| {
                let result = f(item);
                progress(item + 1, items);
                result
            })
            .collect();
    }
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut results: Vec<(usize, T)> = Vec::with_capacity(items);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, f) = (sender.clone(), &next, &f);
            scope.spawn(move || {
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= items || sender.send((item, f(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for result in receiver {
            results.push(result);
            progress(results.len(), items);
        }
    });
    results.sort_unstable_by_key(|(item, _)| *item);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Computes `f(0), f(1), ... f(items - 1)` with up to `threads` threads and
/// hands each result to `take` on the caller's thread, in the order in which
/// they are ready; at most `threads` results wait for it. What `take` refuses
/// ends the work.
///
/// # Errors
/// The first of `take`.
///
/// # Panics
/// If `f` does.
pub fn stream<T: Send, E>(
    items: usize,
    threads: usize,
    f: impl Fn(usize) -> T + Sync,
    take: &mut dyn FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.min(items);
    if threads <= 1 {
        return (0..items).try_for_each(|item| take(item, f(item)));
    }
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, f) = (sender.clone(), &next, &f);
            scope.spawn(move || {
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= items || sender.send((item, f(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // The receiver goes when this ends, with which every sender fails.
        receiver
            .into_iter()
            .try_for_each(|(item, result)| take(item, result))
    })
}

/// Calls `f` for every item, by as many threads as there are `workers`, each
/// with one of them to write to; the caller's is one of the threads. Threads
/// take the items in order, and which takes which is not settled.
///
/// # Panics
/// If `f` does, or without workers.
pub fn for_each<W: Send, I: Send>(
    workers: &mut [W],
    items: impl Iterator<Item = I> + Send,
    f: impl Fn(&mut W, I) + Sync,
) {
    assert!(!workers.is_empty(), "somebody must do the work");
    let items = Mutex::new(items);
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = |worker: &mut W| {
        while let Some(item) = next() {
            f(worker, item);
        }
    };
    let (first, others) = workers.split_at_mut(1);
    std::thread::scope(|scope| {
        for worker in others {
            scope.spawn(|| work(worker));
        }
        work(&mut first[0]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_hands_over_each_result_once_and_stops_when_it_is_refused() {
        for threads in [1, 2, 7] {
            let mut seen = vec![0; 20];
            let done: Result<(), ()> = stream(20, threads, |i| i * i, &mut |i, square| {
                assert_eq!(square, i * i);
                seen[i] += 1;
                Ok(())
            });
            assert_eq!((done, seen), (Ok(()), vec![1; 20]));
            let mut count = 0;
            let refused = stream(20, threads, |i| i, &mut |_, _| {
                count += 1;
                if count == 3 { Err("enough") } else { Ok(()) }
            });
            assert_eq!((refused, count), (Err("enough"), 3));
        }
    }

    #[test]
    fn every_item_is_worked_on_once_by_any_number_of_workers() {
        for threads in [1, 2, 7] {
            let mut workers = vec![0; threads];
            let mut squares = [0; 20];
            for_each(
                &mut workers,
                squares.iter_mut().enumerate(),
                |sum, (i, square)| {
                    *square += i * i;
                    *sum += i;
                },
            );
            assert_eq!(squares, std::array::from_fn(|i| i * i));
            assert_eq!(workers.iter().sum::<usize>(), 190);
        }
    }

    #[test]
    fn results_keep_the_order_of_the_items_for_any_number_of_threads() {
        for threads in [0, 1, 2, 7, 100] {
            let mut last = 0;
            let squares = map(20, threads, |i| i * i, &mut |done, _| last = done);
            assert_eq!(squares, (0..20).map(|i| i * i).collect::<Vec<_>>());
            assert_eq!(last, 20);
        }
    }
}
