//! Pictures of a definition's graph: SVG, Mermaid and Graphviz.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use super::graph::{self, EdgeKind};
use super::model::{Definition, Side, Step};
use super::step_types::StepKind;

/// What a line between two steps says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// The lower step reads the upper one's data.
    Data,
    /// The lower step only waits for the upper one.
    Order,
    /// The lower step runs on this side of the upper one, a condition.
    Branch(Side),
}

/// The graph as it is drawn: each pair of steps is joined once.
struct Drawing<'a> {
    steps: Vec<Step<'a>>,
    lines: BTreeMap<(usize, usize), Line>,
    layers: Vec<usize>,
    /// The status of each step, where there is one.
    statuses: Vec<Option<String>>,
}

impl<'a> Drawing<'a> {
    fn new(definition: &'a Definition) -> Self {
        let steps = definition.steps();
        let references = definition.references_of(&steps);
        let graph = graph::build(&steps, &references);
        // The steps that wait for one of their own branch hang on that one; a
        // line from the condition as well would say nothing more.
        let inside: HashSet<usize> = graph
            .edges
            .iter()
            .filter(|edge| {
                edge.from != edge.to
                    && steps[edge.to].branch().is_some()
                    && steps[edge.to].branch() == steps[edge.from].branch()
            })
            .map(|edge| edge.to)
            .collect();
        let mut lines = BTreeMap::new();
        for edge in graph.edges.iter().filter(|edge| edge.from != edge.to) {
            let pair = (edge.from, edge.to);
            let line = match edge.kind {
                EdgeKind::Branch if inside.contains(&edge.to) => continue,
                EdgeKind::Branch => Line::Branch(
                    steps[edge.to]
                        .branch()
                        .map_or(Side::If, |branch| branch.side),
                ),
                EdgeKind::Reference => Line::Data,
                EdgeKind::DependsOn => Line::Order,
            };
            let drawn = lines.entry(pair).or_insert(line);
            // A branch says most, data more than order.
            match (*drawn, line) {
                (Line::Branch(_), _) | (Line::Data, Line::Order) => {}
                _ => *drawn = line,
            }
        }
        let mut layers = vec![0; steps.len()];
        let waiting_for = graph.dependencies();
        for step in &graph.order {
            layers[*step] = waiting_for[*step]
                .iter()
                .map(|before| layers[*before] + 1)
                .max()
                .unwrap_or(0);
        }
        // What is in a cycle, or waits for one, has no place: it goes below, a
        // layer for each step.
        let lowest = graph.order.iter().map(|step| layers[*step] + 1).max();
        let placed: HashSet<usize> = graph.order.iter().copied().collect();
        let left = (0..steps.len()).filter(|step| !placed.contains(step));
        for (step, layer) in left.zip(lowest.unwrap_or(0)..) {
            layers[step] = layer;
        }
        Self {
            statuses: vec![None; steps.len()],
            steps,
            lines,
            layers,
        }
    }

    /// What stands below a step's name.
    fn second_line(&self, step: usize) -> String {
        let kind = self.steps[step].type_name();
        match &self.statuses[step] {
            Some(status) => format!("{kind}: {status}"),
            None => kind.to_owned(),
        }
    }
}

fn label_of(side: Side) -> &'static str {
    match side {
        Side::If => "True",
        Side::Else => "False",
    }
}

/// The graph in Mermaid's language, which GitHub draws.
#[must_use]
pub fn mermaid(definition: &Definition) -> String {
    let drawing = Drawing::new(definition);
    let mut text = String::from("flowchart TD\n");
    for (index, step) in drawing.steps.iter().enumerate() {
        let label = format!(
            "\"{}<br/><small>{}</small>\"",
            escape_mermaid(step.name()),
            escape_mermaid(step.type_name())
        );
        let (open, close) = match step.kind() {
            StepKind::Condition => ("{", "}"),
            StepKind::Fail => ("([", "])"),
            _ => ("[", "]"),
        };
        push(&mut text, format_args!("  s{index}{open}{label}{close}\n"));
    }
    for ((from, to), line) in &drawing.lines {
        match line {
            Line::Data => push(&mut text, format_args!("  s{from} --> s{to}\n")),
            Line::Order => push(&mut text, format_args!("  s{from} -.-> s{to}\n")),
            Line::Branch(side) => push(
                &mut text,
                format_args!("  s{from} -- {} --> s{to}\n", label_of(*side)),
            ),
        }
    }
    text
}

fn escape_mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.') {
            escaped.push(c);
        } else {
            push(&mut escaped, format_args!("#{};", u32::from(c)));
        }
    }
    escaped
}

/// The graph in Graphviz's language.
#[must_use]
pub fn dot(definition: &Definition) -> String {
    let drawing = Drawing::new(definition);
    let quote = |text: &str| format!("{:?}", text.replace(['\n', '\r', '\t'], " "));
    let mut text = String::from(
        "digraph pipeline {\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
    );
    for (index, step) in drawing.steps.iter().enumerate() {
        let shape = if step.kind() == StepKind::Condition {
            ", shape=diamond, style=\"\""
        } else {
            ""
        };
        push(
            &mut text,
            format_args!(
                "  s{index} [label={}{shape}];\n",
                quote(&format!("{}\u{0}{}", step.name(), step.type_name())).replace("\\0", "\\n")
            ),
        );
    }
    for ((from, to), line) in &drawing.lines {
        let style = match line {
            Line::Data => String::new(),
            Line::Order => " [style=dashed]".to_owned(),
            Line::Branch(side) => format!(" [label=\"{}\"]", label_of(*side)),
        };
        push(&mut text, format_args!("  s{from} -> s{to}{style};\n"));
    }
    text.push_str("}\n");
    text
}

/// Appends formatted text; writing to a `String` does not fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    if text.write_fmt(arguments).is_err() {
        unreachable!("a String takes any text");
    }
}

// What follows draws the SVG. Lengths are pixels.

const NODE_HEIGHT: f64 = 52.0;
const LAYER_GAP: f64 = 56.0;
const NODE_GAP: f64 = 32.0;
const MARGIN: f64 = 24.0;
/// The width that a long line takes where it passes a layer.
const LANE: f64 = 12.0;
/// How many places of long lines are laid out; more would cost too much, and
/// they could not be followed.
const MOST_LANES: usize = 20_000;

/// A place in a layer: a step, or where a long line passes.
struct Place {
    step: Option<usize>,
    width: f64,
    /// The middle.
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

struct Layout {
    places: Vec<Place>,
    /// The places of each layer from left to right.
    layers: Vec<Vec<usize>>,
    /// For each line, the places it leads through, its ends included.
    routes: Vec<((usize, usize), Vec<usize>)>,
}

/// The graph as a picture that resembles SageMaker Studio's: cards from top to
/// bottom, solid lines for data, dashed ones for order, `True` and `False` at
/// a condition's branches.
#[must_use]
pub fn svg(definition: &Definition) -> String {
    svg_with_status(definition, |_| None)
}

/// The graph as [`svg`], with the status that `status_of` gives a step written on its card and
/// shown by the card's colour; a step without one is drawn as in [`svg`].
#[must_use]
pub fn svg_with_status<'s>(
    definition: &Definition,
    status_of: impl Fn(&str) -> Option<&'s str>,
) -> String {
    let mut drawing = Drawing::new(definition);
    let statuses = drawing.steps.iter().map(|step| status_of(step.name()));
    drawing.statuses = statuses.map(|status| status.map(str::to_owned)).collect();
    let mut layout = lay_out(&drawing);
    let left = layout
        .places
        .iter()
        .map(|place| place.x - place.width / 2.0)
        .fold(f64::INFINITY, f64::min);
    let left = if left.is_finite() { left } else { 0.0 };
    for place in &mut layout.places {
        place.x += MARGIN - left;
    }
    let width = layout
        .places
        .iter()
        .map(|place| place.x + place.width / 2.0)
        .fold(MARGIN, f64::max)
        + MARGIN;
    let layers = u32::try_from(layout.layers.len()).map_or(0.0, f64::from);
    let height =
        2.0 * MARGIN + layers * (NODE_HEIGHT + LAYER_GAP) - LAYER_GAP.min(layers * LAYER_GAP);
    let mut text = String::new();
    push(
        &mut text,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"Amazon Ember, Inter, Helvetica, Arial, sans-serif\">\n\
             <defs><marker id=\"arrow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" \
             markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 1 L9 5 L0 9 z\" \
             fill=\"#687078\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#f7f8f8\"/>\n"
        ),
    );
    draw_lines(&mut text, &drawing, &layout);
    draw_cards(&mut text, &drawing, &layout);
    text.push_str("</svg>\n");
    text
}

fn top_of(drawing: &Drawing<'_>, step: usize) -> f64 {
    top_of_layer(drawing.layers[step])
}

fn top_of_layer(layer: usize) -> f64 {
    u32::try_from(layer).map_or(0.0, f64::from) * (NODE_HEIGHT + LAYER_GAP) + MARGIN
}

fn width_of(step: &Step<'_>, second_line: &str) -> f64 {
    // The middle width of a character of a 13 px sans-serif, a bit generous.
    let characters = step.name().chars().count().max(second_line.chars().count());
    (u32::try_from(characters).map_or(0.0, f64::from) * 8.0 + 36.0).max(140.0)
}

fn lay_out(drawing: &Drawing<'_>) -> Layout {
    let mut places: Vec<Place> = drawing
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| Place {
            step: Some(index),
            width: width_of(step, &drawing.second_line(index)),
            x: 0.0,
            above: Vec::new(),
            below: Vec::new(),
        })
        .collect();
    let count = drawing.layers.iter().max().map_or(0, |last| last + 1);
    let mut layers = vec![Vec::new(); count];
    for (index, layer) in drawing.layers.iter().enumerate() {
        layers[*layer].push(index);
    }
    let passed: usize = drawing
        .lines
        .keys()
        .map(|(from, to)| drawing.layers[*to].saturating_sub(drawing.layers[*from] + 1))
        .sum();
    let mut routes = Vec::new();
    for (from, to) in drawing.lines.keys() {
        let mut route = vec![*from];
        if passed <= MOST_LANES {
            for layer in drawing.layers[*from] + 1..drawing.layers[*to] {
                layers[layer].push(places.len());
                route.push(places.len());
                places.push(Place {
                    step: None,
                    width: LANE,
                    x: 0.0,
                    above: Vec::new(),
                    below: Vec::new(),
                });
            }
        }
        route.push(*to);
        for pair in route.windows(2) {
            if drawing.layers[*from] < drawing.layers[*to] {
                places[pair[0]].below.push(pair[1]);
                places[pair[1]].above.push(pair[0]);
            }
        }
        routes.push(((*from, *to), route));
    }
    order_layers(&places, &mut layers);
    place_layers(&mut places, &layers);
    Layout {
        places,
        layers,
        routes,
    }
}

/// Orders each layer by the middle of its neighbours, down and up by turns.
fn order_layers(places: &[Place], layers: &mut [Vec<usize>]) {
    let mut position = vec![0.0_f64; places.len()];
    let number = |layer: &[usize], position: &mut [f64]| {
        for (index, place) in layer.iter().enumerate() {
            position[*place] = u32::try_from(index).map_or(0.0, f64::from);
        }
    };
    for layer in layers.iter() {
        number(layer, &mut position);
    }
    for round in 0..6 {
        let down = round % 2 == 0;
        let count = layers.len();
        for at in 0..count {
            let layer = &mut layers[if down { at } else { count - 1 - at }];
            let mut keyed: Vec<(f64, usize)> = layer
                .iter()
                .map(|place| {
                    let neighbours = if down {
                        &places[*place].above
                    } else {
                        &places[*place].below
                    };
                    (
                        mean(neighbours.iter().map(|next| position[*next]))
                            .unwrap_or(position[*place]),
                        *place,
                    )
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *layer = keyed.into_iter().map(|(_, place)| place).collect();
            number(layer, &mut position);
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

/// Moves the places of each layer towards their neighbours, without overlap.
fn place_layers(places: &mut [Place], layers: &[Vec<usize>]) {
    let gap = |a: &Place, b: &Place| f64::midpoint(a.width, b.width) + NODE_GAP;
    for layer in layers {
        let mut x = 0.0;
        for pair in layer.windows(2) {
            x += gap(&places[pair[0]], &places[pair[1]]);
            places[pair[1]].x = x;
        }
        // Around a common middle.
        for place in layer {
            places[*place].x -= x / 2.0;
        }
    }
    for round in 0..12 {
        let down = round % 2 == 0;
        let count = layers.len();
        for at in 0..count {
            let layer = &layers[if down { at } else { count - 1 - at }];
            let wanted: Vec<f64> = layer
                .iter()
                .map(|place| {
                    let place = &places[*place];
                    let neighbours = if down { &place.above } else { &place.below };
                    mean(neighbours.iter().map(|next| places[*next].x)).unwrap_or(place.x)
                })
                .collect();
            // The mean of the leftmost and the rightmost arrangement that keep
            // the gaps is one that keeps them too.
            let mut from_left = wanted.clone();
            for index in 1..layer.len() {
                let least =
                    from_left[index - 1] + gap(&places[layer[index - 1]], &places[layer[index]]);
                from_left[index] = from_left[index].max(least);
            }
            let mut from_right = wanted;
            for index in (1..layer.len()).rev() {
                let most =
                    from_right[index] - gap(&places[layer[index - 1]], &places[layer[index]]);
                from_right[index - 1] = from_right[index - 1].min(most);
            }
            for (index, place) in layer.iter().enumerate() {
                places[*place].x = f64::midpoint(from_left[index], from_right[index]);
            }
        }
    }
}

fn draw_lines(text: &mut String, drawing: &Drawing<'_>, layout: &Layout) {
    for (pair, route) in &layout.routes {
        let Some(line) = drawing.lines.get(pair) else {
            continue;
        };
        let (from, to) = *pair;
        let style = match line {
            Line::Order => " stroke-dasharray=\"5 4\"",
            Line::Data | Line::Branch(_) => "",
        };
        let (mut x, mut y) = (layout.places[from].x, top_of(drawing, from) + NODE_HEIGHT);
        let mut path = format!("M{x:.1} {y:.1}");
        let upwards = drawing.layers[from] >= drawing.layers[to];
        for (index, place) in route.iter().enumerate().skip(1) {
            let next_x = layout.places[*place].x;
            let next_y = if upwards {
                top_of(drawing, to)
            } else {
                top_of_layer(drawing.layers[from] + index)
            };
            let next_y = if *place == to {
                top_of(drawing, to)
            } else {
                next_y
            };
            let middle = f64::midpoint(y, next_y);
            push(
                &mut path,
                format_args!(
                    " C{x:.1} {middle:.1} {next_x:.1} {middle:.1} {next_x:.1} {next_y:.1}"
                ),
            );
            (x, y) = (next_x, next_y);
            if *place != to {
                // Straight past the layer's cards.
                y += NODE_HEIGHT;
                push(&mut path, format_args!(" L{x:.1} {y:.1}"));
            }
        }
        push(
            text,
            format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"#879596\" stroke-width=\"1.5\"{style} \
                 marker-end=\"url(#arrow)\"/>\n"
            ),
        );
        if let Line::Branch(side) = line {
            let second = layout.places[route[1]].x;
            let (x, y) = (
                f64::midpoint(layout.places[from].x, second),
                top_of(drawing, from) + NODE_HEIGHT + LAYER_GAP / 2.0,
            );
            push(
                text,
                format_args!(
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"40\" height=\"18\" rx=\"9\" fill=\"#ffffff\" \
                     stroke=\"#d5dbdb\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" \
                     font-size=\"11\" fill=\"#16191f\">{}</text>\n",
                    x - 20.0,
                    y - 9.0,
                    y + 4.0,
                    label_of(*side)
                ),
            );
        }
    }
}

fn draw_cards(text: &mut String, drawing: &Drawing<'_>, layout: &Layout) {
    for place in &layout.places {
        let Some(index) = place.step else { continue };
        let step = &drawing.steps[index];
        let (x, y) = (place.x - place.width / 2.0, top_of(drawing, index));
        let status = drawing.statuses[index].as_deref();
        let (fill, stroke) = status.map_or(("#ffffff", "#aab7b8"), colours_of);
        push(
            text,
            format_args!(
                "<g><title>{title}</title>\
                 <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{NODE_HEIGHT}\" rx=\"8\" \
                 fill=\"{fill}\" stroke=\"{stroke}\"/>\
                 <rect x=\"{x:.1}\" y=\"{bar:.1}\" width=\"4\" height=\"{inner}\" rx=\"2\" fill=\"{colour}\"/>\
                 <text x=\"{left:.1}\" y=\"{first:.1}\" font-size=\"13\" font-weight=\"600\" \
                 fill=\"#16191f\">{name}</text>\
                 <text x=\"{left:.1}\" y=\"{second:.1}\" font-size=\"11\" fill=\"#545b64\">{kind}</text></g>\n",
                title = escape_xml(step.description().unwrap_or_else(|| step.name())),
                width = place.width,
                bar = y + 8.0,
                inner = NODE_HEIGHT - 16.0,
                colour = step.step_type().colour,
                left = x + 18.0,
                first = y + 23.0,
                second = y + 39.0,
                name = escape_xml(step.name()),
                kind = escape_xml(&drawing.second_line(index)),
            ),
        );
    }
}

/// A card's background and border, by the status of its step.
fn colours_of(status: &str) -> (&'static str, &'static str) {
    match status {
        "Succeeded" => ("#e9f7ec", "#1d8102"),
        "Failed" => ("#fdecea", "#d13212"),
        "Stopping" | "Stopped" => ("#fff6dd", "#8d6605"),
        _ => ("#e8f1fb", "#0073bb"),
    }
}

fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // No other control character may stand in XML.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{dot, mermaid, svg};
    use crate::definition::Definition;

    fn definition() -> Definition {
        Definition::parse(
            r#"{"Steps":[
                {"Name":"P","Type":"Processing"},
                {"Name":"T","Type":"Training","Arguments":{"x":{"Get":"Steps.P.X"}},"DependsOn":["P"]},
                {"Name":"C","Type":"Condition","DependsOn":["T"],"Arguments":{
                   "IfSteps":[{"Name":"R<&>\"","Type":"RegisterModel"},{"Name":"M","Type":"Model","DependsOn":["R<&>\""]}],
                   "ElseSteps":[{"Name":"F","Type":"Fail"}]}}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn mermaid_joins_each_pair_of_steps_once() {
        assert_eq!(
            mermaid(&definition()),
            "flowchart TD\n  \
             s0[\"P<br/><small>Processing</small>\"]\n  \
             s1[\"T<br/><small>Training</small>\"]\n  \
             s2{\"C<br/><small>Condition</small>\"}\n  \
             s3[\"R#60;#38;#62;#34;<br/><small>RegisterModel</small>\"]\n  \
             s4[\"M<br/><small>Model</small>\"]\n  \
             s5([\"F<br/><small>Fail</small>\"])\n  \
             s0 --> s1\n  s1 -.-> s2\n  s2 -- True --> s3\n  s2 -- False --> s5\n  s3 -.-> s4\n"
        );
    }

    #[test]
    fn graphviz_quotes_names() {
        let text = dot(&definition());
        assert!(
            text.contains(r#"s3 [label="R<&>\"\nRegisterModel"];"#),
            "{text}"
        );
        assert!(text.contains("s1 -> s2 [style=dashed];"), "{text}");
        assert!(text.contains("s2 -> s5 [label=\"False\"];"), "{text}");
    }

    #[test]
    fn the_picture_shows_every_step_once_and_escapes_names() {
        let text = svg(&definition());
        assert_eq!(text.matches("<g>").count(), 6);
        assert_eq!(text.matches("marker-end").count(), 5);
        assert!(text.contains("R&lt;&amp;&gt;&quot;"), "{text}");
        assert!(
            text.contains(">True<") && text.contains(">False<"),
            "{text}"
        );
    }

    #[test]
    fn cards_of_a_layer_do_not_overlap() {
        let steps: Vec<_> = (0..40)
            .map(|n| {
                let depends = if n < 3 {
                    String::new()
                } else {
                    format!("\"s{}\",\"s{}\"", n % 3, n / 3)
                };
                format!(r#"{{"Name":"s{n}","Type":"Lambda","DependsOn":[{depends}]}}"#)
            })
            .collect();
        let definition =
            Definition::parse(&format!(r#"{{"Steps":[{}]}}"#, steps.join(","))).unwrap();
        let drawing = super::Drawing::new(&definition);
        let layout = super::lay_out(&drawing);
        for layer in &layout.layers {
            for pair in layer.windows(2) {
                let (a, b) = (&layout.places[pair[0]], &layout.places[pair[1]]);
                assert!(b.x - a.x >= (a.width + b.width) / 2.0, "{} {}", a.x, b.x);
            }
        }
    }

    #[test]
    fn empty_and_cyclic_definitions_are_drawn_too() {
        for text in [
            r#"{"Steps":[]}"#,
            r#"{"Steps":[{"Name":"a","DependsOn":["b"]},{"Name":"b","DependsOn":["a","b"]}]}"#,
        ] {
            let picture = svg(&Definition::parse(text).unwrap());
            assert!(
                picture.ends_with("</svg>\n") && !picture.contains("NaN"),
                "{picture}"
            );
        }
    }
}
