//! Which step waits for which.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::get::GetPath;
use super::model::{Definition, Step, dependency_name};
use super::path::JsonPath;
use super::reference::{Owner, Reference};

/// Why one step waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EdgeKind {
    /// Its `DependsOn` says so.
    DependsOn,
    /// It reads the other's data.
    Reference,
    /// It stands in a branch of the other, a condition.
    Branch,
}

/// One step waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge<'a> {
    /// The step that runs first, by its position in [`Definition::steps`].
    pub from: usize,
    /// The step that waits.
    pub to: usize,
    /// Why.
    pub kind: EdgeKind,
    /// What says so: the entry of `DependsOn`, the reference, or the step in
    /// the branch.
    pub path: JsonPath<'a>,
}

/// The steps and what they wait for. Names that lead nowhere make no edge; of
/// steps with one name the first is meant.
#[derive(Clone, Debug)]
pub struct Graph<'a> {
    /// The names, by the position in [`Definition::steps`].
    pub names: Vec<&'a str>,
    /// The edges in the order of the steps that wait; several may join the
    /// same two steps.
    pub edges: Vec<Edge<'a>>,
    /// The steps in an order in which each follows what it waits for; among
    /// those that could come next, the first of the definition. Steps of a
    /// cycle, and those that wait for one, are missing.
    pub order: Vec<usize>,
    /// One cycle for each group of steps that wait for each other, beginning
    /// with the first step of the definition in it; a step that waits for
    /// itself is a cycle of one.
    pub cycles: Vec<Vec<usize>>,
}

impl Graph<'_> {
    /// For each step, the steps it waits for: each once, in the definition's order.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Vec<usize>> {
        let mut dependencies = vec![Vec::new(); self.names.len()];
        for edge in &self.edges {
            dependencies[edge.to].push(edge.from);
        }
        for list in &mut dependencies {
            list.sort_unstable();
            list.dedup();
        }
        dependencies
    }
}

/// The positions of steps by name; of steps with one name the first.
pub(crate) fn index_of<'a>(steps: &[Step<'a>]) -> HashMap<&'a str, usize> {
    let mut index = HashMap::with_capacity(steps.len());
    for (position, step) in steps.iter().enumerate() {
        index.entry(step.name()).or_insert(position);
    }
    index
}

impl Definition {
    /// The graph of the steps, in time linear in the definition's size but for
    /// the sorting.
    #[must_use]
    pub fn graph(&self) -> Graph<'_> {
        let steps = self.steps();
        let references = self.references_of(&steps);
        build(&steps, &references)
    }
}

/// The graph of steps and references that are at hand.
pub(crate) fn build<'a>(steps: &[Step<'a>], references: &[Reference<'a>]) -> Graph<'a> {
    let index = index_of(steps);
    let mut edges = Vec::new();
    let mut references = references.iter().peekable();
    for (to, step) in steps.iter().enumerate() {
        if let Some(branch) = step.branch() {
            edges.push(Edge {
                from: branch.condition,
                to,
                kind: EdgeKind::Branch,
                path: step.path().clone(),
            });
        }
        let listed = step.member("DependsOn").and_then(|list| list.as_array());
        for (position, name) in listed.into_iter().flatten().enumerate() {
            if let Some(from) = dependency_name(name).and_then(|name| index.get(name)) {
                edges.push(Edge {
                    from: *from,
                    to,
                    kind: EdgeKind::DependsOn,
                    path: step.path().key("DependsOn").index(position),
                });
            }
        }
        // References come in the steps' order, the configurations' first.
        while let Some(reference) = references.next_if(|reference| match reference.owner {
            Owner::Configuration => true,
            Owner::Step(owner) => owner <= to,
        }) {
            let target = reference.target.as_ref().ok().and_then(GetPath::step);
            if let (Owner::Step(_), Some(from)) =
                (reference.owner, target.and_then(|name| index.get(name)))
            {
                edges.push(Edge {
                    from: *from,
                    to,
                    kind: EdgeKind::Reference,
                    path: reference.path.clone(),
                });
            }
        }
    }
    let (order, cycles) = sort(steps.len(), &edges);
    Graph {
        names: steps.iter().map(Step::name).collect(),
        edges,
        order,
        cycles,
    }
}

/// Kahn's algorithm, and Tarjan's on what is left.
fn sort(count: usize, edges: &[Edge<'_>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut waiting = vec![0_usize; count];
    let mut followers = vec![Vec::new(); count];
    for edge in edges {
        waiting[edge.to] += 1;
        followers[edge.from].push(edge.to);
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..count)
        .filter(|step| waiting[*step] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(step)) = ready.pop() {
        order.push(step);
        for follower in &followers[step] {
            waiting[*follower] -= 1;
            if waiting[*follower] == 0 {
                ready.push(Reverse(*follower));
            }
        }
    }
    let cycles = if order.len() == count {
        Vec::new()
    } else {
        find_cycles(&followers, &waiting)
    };
    (order, cycles)
}

/// One cycle for each strongly connected group among the steps that still wait.
fn find_cycles(followers: &[Vec<usize>], waiting: &[usize]) -> Vec<Vec<usize>> {
    let groups = strong_groups(followers, waiting);
    let mut cycles: Vec<Vec<usize>> = groups
        .iter()
        .filter_map(|group| shortest_cycle(followers, group))
        .collect();
    cycles.sort_unstable();
    cycles
}

/// Tarjan's strongly connected components with an explicit stack, of the steps
/// that still wait.
fn strong_groups(followers: &[Vec<usize>], waiting: &[usize]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let count = followers.len();
    let mut number = vec![UNSEEN; count];
    let mut low = vec![0; count];
    let mut on_stack = vec![false; count];
    let mut stack = Vec::new();
    let mut groups = Vec::new();
    let mut next = 0;
    for root in 0..count {
        if waiting[root] == 0 || number[root] != UNSEEN {
            continue;
        }
        // A step and how many of its followers have been looked at.
        let mut calls = vec![(root, 0)];
        while let Some((step, looked_at)) = calls.last_mut() {
            let step = *step;
            if *looked_at == 0 {
                number[step] = next;
                low[step] = next;
                next += 1;
                stack.push(step);
                on_stack[step] = true;
            }
            if let Some(follower) = followers[step].get(*looked_at) {
                *looked_at += 1;
                if number[*follower] == UNSEEN {
                    calls.push((*follower, 0));
                } else if on_stack[*follower] {
                    low[step] = low[step].min(number[*follower]);
                }
                continue;
            }
            calls.pop();
            if let Some((caller, _)) = calls.last() {
                low[*caller] = low[*caller].min(low[step]);
            }
            if low[step] == number[step] {
                let mut group = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    group.push(member);
                    if member == step {
                        break;
                    }
                }
                group.sort_unstable();
                groups.push(group);
            }
        }
    }
    groups
}

/// The shortest way from a group's first step back to it; `None` for a single
/// step that does not wait for itself.
fn shortest_cycle(followers: &[Vec<usize>], group: &[usize]) -> Option<Vec<usize>> {
    let start = *group.first()?;
    let mut came_from = HashMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(step) = queue.pop_front() {
        for follower in &followers[step] {
            if *follower == start {
                let mut cycle = vec![step];
                let mut at = step;
                while let Some(before) = came_from.get(&at) {
                    at = *before;
                    cycle.push(at);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if group.binary_search(follower).is_ok() && !came_from.contains_key(follower) {
                came_from.insert(*follower, step);
                queue.push_back(*follower);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::EdgeKind;
    use crate::definition::Definition;

    fn step(name: &str, depends_on: &[&str], reads: &[&str]) -> String {
        let reads: Vec<_> = reads
            .iter()
            .map(|name| format!(r#"{{"Get":"Steps.{name}.X"}}"#))
            .collect();
        format!(
            r#"{{"Name":"{name}","Type":"Lambda","DependsOn":{depends_on:?},"Arguments":{{"x":[{}]}}}}"#,
            reads.join(",")
        )
    }

    fn definition(steps: &[String]) -> Definition {
        Definition::parse(&format!(r#"{{"Steps":[{}]}}"#, steps.join(","))).unwrap()
    }

    #[test]
    fn each_step_follows_what_it_waits_for_in_the_order_of_the_definition() {
        let definition = definition(&[
            step("last", &[], &["b", "a"]),
            step("b", &["a"], &[]),
            step("free", &["missing"], &[]),
            step("a", &[], &[]),
        ]);
        let graph = definition.graph();
        let order: Vec<_> = graph.order.iter().map(|step| graph.names[*step]).collect();
        assert_eq!(order, ["free", "a", "b", "last"]);
        assert!(graph.cycles.is_empty());
        assert_eq!(graph.dependencies(), [vec![1, 3], vec![3], vec![], vec![]]);
        assert_eq!(graph.edges[0].kind, EdgeKind::Reference);
        assert_eq!(graph.edges[0].path.to_string(), "$.Steps[0].Arguments.x[0]");
    }

    #[test]
    fn a_step_of_a_branch_waits_for_its_condition() {
        let definition = Definition::parse(
            r#"{"Steps":[{"Name":"C","Type":"Condition","Arguments":{
                "IfSteps":[{"Name":"A","Type":"Fail","DependsOn":["C"]}],"ElseSteps":[]}}]}"#,
        )
        .unwrap();
        let graph = definition.graph();
        assert_eq!(graph.edges[0].kind, EdgeKind::Branch);
        assert_eq!(graph.order, [0, 1]);
    }

    #[test]
    fn every_cycle_is_reported_once_and_short() {
        let definition = definition(&[
            step("a", &["c"], &[]),
            step("b", &["a"], &[]),
            step("c", &["b", "a"], &[]),
            step("waits", &["a"], &[]),
            step("self", &[], &["self"]),
            step("free", &[], &[]),
        ]);
        let graph = definition.graph();
        assert_eq!(graph.order, [5]);
        assert_eq!(graph.cycles, [vec![0, 2], vec![4]]);
    }

    #[test]
    fn a_chain_of_many_steps_needs_no_stack() {
        let mut steps: Vec<_> = (0..10_000)
            .map(|n| step(&format!("s{n}"), &[&format!("s{}", n + 1)], &[]))
            .collect();
        steps.push(step("s10000", &["s0"], &[]));
        let definition = definition(&steps);
        assert_eq!(definition.graph().cycles[0].len(), 10_001);
    }
}
