"""The commands. Each declares its options, reads, calls the library, prints and returns its exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fastgrad._version import SCHEMA
from fastgrad_cli import checking, terminal
from fastgrad_cli.options import (
    Grouped,
    description_options,
    directions_option,
    draw_options,
    file_argument,
    json_option,
    loudness_options,
    memory_option,
    method_options,
    tolerance_option,
    worker_options,
)

if TYPE_CHECKING:
    from fastgrad.report.base import BaseReport
    from fastgrad.teaching.demo import Demo
    from fastgrad.teaching.grading import Feedback


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from fastgrad import __version__

        click.echo(f"fastgrad {__version__}")
        context.exit()


def _examples(*lines: str) -> str:
    """Return an epilog that click leaves as it is."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Demos(click.Group):
    """The group of the demos: any name that is no command of it is that of a built-in network."""

    def get_command(self, context: click.Context, name: str) -> click.Command:
        """Return a command; whether there is such a network is found out when it runs."""

        @click.command(name=name, help=f"Check the built-in network {name}.")
        @json_option
        def check_demo(as_json: bool) -> int:
            return _check_demo(name, as_json or bool(context.params.get("as_json")))

        return super().get_command(context, name) or check_demo


@click.group(
    cls=terminal.Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_examples(
        "fastgrad demo                the main job on a built-in network",
        "fastgrad check model.npz     the gradients in a file of yours",
        "fastgrad info model.npz      what that file was understood to be",
    ),
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version.")
def main() -> None:
    """Say whether the gradients of a hand-written backpropagation are right.

    Exit codes: 0 every checked gradient is right; 1 at least one is wrong; 2 the command, a file or fastgrad itself is at
    fault; 3 not judged; 130 interrupted.
    """


@main.command(
    cls=Grouped,
    epilog=_examples(
        "fastgrad check model.npz --hidden relu --output sigmoid --loss binary_crossentropy",
        "fastgrad check model.npz --activations tanh,relu,softmax --l2 0.01",
        "fastgrad check model.npz --method textbook --step 1e-7",
        "fastgrad check model.npz --sample 5%",
        "fastgrad check model.npz --method directional --directions 16",
        "fastgrad check model.npz --backward network.py:backward",
        "fastgrad check model.npz --plot errors.svg",
        "fastgrad check model.npz --infer",
        "fastgrad check model.npz --store parts --dask local:4",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path())
@click.option(
    "--gradients",
    metavar="FILE",
    help="The gradients stand in this file, under names of their own or those of the parameters in the first.",
)
@click.option(
    "--backward",
    metavar="FUNCTION",
    help="Try this function, module:function or file.py:function, called as function(parameters, X, Y), at FILE's point and "
    "at others; the gradients in FILE are not looked at.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Time for each call of that function, and for importing it; 0 for no limit. If not said, it grows with the network.",
)
@click.option(
    "--network",
    metavar="NAME",
    help="Check the network of this name in [tool.fastgrad.networks] of pyproject.toml.",
)
@click.option(
    "--plot",
    "picture",
    metavar="FILE",
    help="Draw where the wrong gradients are off into a .png or .svg, replacing it; needs matplotlib. Where nothing is wrong, "
    "no picture is written.",
)
@click.option(
    "--infer",
    is_flag=True,
    help="Find out what is not said of the network: the one of which the gradients in FILE are exactly the right ones.",
)
@description_options
@method_options
@directions_option
@tolerance_option
@worker_options
@memory_option
@loudness_options
@click.option("--no-diagnosis", is_flag=True, help="Do not look for the mistake that makes a gradient wrong.")
@click.option(
    "--format",
    "forms",
    multiple=True,
    metavar="FORMAT[=FILE]",
    help="text, concise, json, junit, github or html, printed or written into a file; may be said several times.",
)
@json_option
@click.pass_context
def check(
    context: click.Context,
    files: tuple[str, ...],
    gradients: str | None,
    backward: str | None,
    timeout: float | None,
    network: str | None,
    picture: str | None,
    infer: bool,
    description: dict[str, Any],
    method: dict[str, Any],
    directions: int | None,
    tolerance: float | None,
    workers: dict[str, Any],
    loudness: str,
    no_diagnosis: bool,
    forms: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check the gradients in one FILE or several.

    FILE holds W1, b1, W2, b2, ..., the gradients dW1, db1, ..., the inputs X and the labels Y: an .npz, a folder of .npy
    files, .json, .safetensors, .mat or .h5, or - for an .npz or JSON from the standard input. Each gradient is compared
    with the numerical one of the loss. The description of the network stands in FILE as well, or is given with options. A
    folder of such files, or a pattern, stands for all of them.

    Exit codes: 0 right; 1 wrong; 2 the command, a file or fastgrad itself is at fault; 3 not judged; 130 interrupted. Of
    several files it is the gravest: 1 before 2 before 3 before 0.
    """
    from fastgrad_cli import clusters, outputs, targets

    how = {**method, "directions": directions, "tolerance": tolerance, "diagnosis": not no_diagnosis, "store": workers["store"]}
    asked = checking.Asked(files, gradients, backward, timeout, infer, description, how)
    asked = checking.with_settings(asked, context, network)
    wanted = outputs.read(forms, as_json)
    names = targets.expanded(asked.files)
    checking.require_usable(asked, names, picture)
    clusters.require_dask(workers["dask"], asked.how["method"])
    source = asked.backward.rpartition(":")[0] if asked.backward else ""
    outputs.require_writable(wanted, filter(None, (*names, asked.gradients, source)))
    draw = None if picture is None else _pencil(picture)
    with clusters.executor_at(workers["dask"]) as executor:
        results, interrupted = checking.checked(names, asked._replace(how={**asked.how, "executor": executor}))
    outputs.give(results, wanted, loudness, [source] if source else [])
    code = terminal.INTERRUPTED if interrupted else outputs.gravest(results)
    report = results[0].report
    return code if draw is None or isinstance(report, str) else _draw(draw, report, wanted[0].form == "text", code)


@main.command(
    epilog=_examples(
        "fastgrad layer layers.py:forward layers.py:backward inputs.npz",
        "fastgrad layer conv.py:conv conv.py:conv_backward inputs.npz --frozen mask --seed 1",
    )
)
@click.argument("forward", metavar="FORWARD")
@click.argument("backward", metavar="BACKWARD")
@click.argument("file", metavar="INPUTS", type=click.Path())
@click.option(
    "--returns-cache/--no-returns-cache",
    default=None,
    help="Whether the last of what FORWARD returns is what BACKWARD needs; only where that cannot be told.",
)
@click.option("--frozen", metavar="NAMES", help="Inputs that need no gradient: mask,labels.")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", show_default=True, help="Seed of what is drawn.")
@click.option("--tolerance", type=float, default=0.0, metavar="SHARE", help="Share of an entry by which it may be off.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Time for the whole check, 600 if not said; 0 for no limit.")
@json_option
def layer(
    forward: str,
    backward: str,
    file: str,
    returns_cache: bool | None,
    frozen: str | None,
    seed: int,
    tolerance: float,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Check the backward pass of any layer.

    FORWARD and BACKWARD are functions, file.py:function or module:function. INPUTS is an .npz whose arrays are the arguments
    of FORWARD by their names. FORWARD returns the output, or (output, cache); BACKWARD is called with an upstream gradient
    that is drawn, and with the cache or with the inputs again.

    Exit codes: 0 right; 1 wrong; 2 the command, a file or fastgrad itself is at fault; 3 not judged; 130 interrupted.
    """
    from fastgrad.errors import require
    from fastgrad_cli.layers import UserLayer

    if timeout is not None:
        require("timeout", timeout, float, "a finite number of seconds, 0 for no limit", lambda s: 0.0 <= s < float("inf"))
    names = [name.strip() for name in frozen.split(",")] if frozen else []
    options = {"returns_cache": returns_cache, "frozen": names, "seed": seed, "tolerance": tolerance}
    with UserLayer(forward, backward, timeout) as functions:
        from fastgrad.reading.formats import load_arrays

        arrays = {name: array if array.ndim else array[()] for name, array in load_arrays(file).items()}
        report = functions.check(arrays, options)
    _show_report(report, as_json)
    return terminal.EXIT_CODES[report.verdict]


@main.command(cls=Grouped, epilog=_examples("fastgrad info model.npz", "fastgrad info model.npz --hidden tanh --json"))
@file_argument
@description_options
@memory_option
@json_option
def info(file: str, description: dict[str, Any], as_json: bool) -> int:
    """Show what FILE was understood to be.

    It prints the layers, the loss and its value, every array with its shape and layout, which gradient belongs to which
    parameter, and how long a check will take. What nobody said of the network is named.
    """
    from fastgrad.questions.understood import Understood
    from fastgrad.reading import Description, modelfile

    problem, _, missing = modelfile.load_completed(file, Description(**description))
    understood = Understood.of(problem, missing)
    if as_json:
        terminal.show_json(understood.to_dict())
    else:
        terminal.show(understood)
    return terminal.RIGHT


@main.command(
    cls=Grouped,
    epilog=_examples(
        "fastgrad gradient model.npz",
        "fastgrad gradient model.npz -o numerical.npz --hidden relu --output sigmoid",
    ),
)
@file_argument
@click.option("-o", "--to", "target", metavar="NPZ", help="File to write; by default FILE's name with _gradient.")
@click.option("--force", is_flag=True, help="Write over a file that is already there.")
@description_options
@method_options
@worker_options
@json_option
def gradient(
    file: str,
    target: str | None,
    force: bool,
    description: dict[str, Any],
    method: dict[str, Any],
    workers: dict[str, Any],
    as_json: bool,
) -> int:
    """Write the numerical gradient to an .npz.

    Use it to compare with a backpropagation in another language, or with one that is still to be written. The arrays
    have the names of the gradients in FILE, or the parameters' names with a d in front, and the parameters' shapes.
    Entries that --sample left out are nan.
    """
    from fastgrad import numerical
    from fastgrad.questions import as_arrays
    from fastgrad.reading import modelfile
    from fastgrad_cli import clusters
    from fastgrad_cli.files import free_target, written

    clusters.require_dask(workers["dask"], method["method"])
    path = free_target(file, target, force)
    problem = checking.load(file, description)
    with clusters.executor_at(workers["dask"]) as executor, terminal.working() as progress:
        how = {**method, "executor": executor, "store": workers["store"]}
        result = numerical.numerical_gradient(problem, **how, progress=progress)
    arrays = as_arrays(problem, result.values)
    modelfile.save_arrays(path, arrays, follow=force)
    if as_json:
        terminal.show_json(written(path, arrays))
    else:
        click.echo(f"Wrote {terminal.printable(str(path))}: {', '.join(map(terminal.printable, arrays))}.")
    return terminal.RIGHT


@main.command(
    cls=Grouped, epilog=_examples("fastgrad compare numpy.npz cpp.npz", "fastgrad compare model.npz torch_gradients.npz --json")
)
@click.argument("first", metavar="FILE", type=click.Path())
@click.argument("second", metavar="OTHER", type=click.Path())
@description_options
@loudness_options
@click.option("--no-diagnosis", is_flag=True, help="Do not look for the mistake that makes a gradient wrong.")
@json_option
def compare(first: str, second: str, description: dict[str, Any], loudness: str, no_diagnosis: bool, as_json: bool) -> int:
    """Hold the gradients in FILE against those in OTHER, and both against the numerical one.

    OTHER holds gradients of the same network at the same point: gradients alone, or a whole model file with the same
    parameters, X and Y. It says which of the two is right, and how far apart they are in units of rounding.

    Exit codes: 0 both are right; 1 at least one is wrong; 2 the command, a file or fastgrad itself is at fault; 3 not judged.
    """
    from fastgrad.numerical.how import How
    from fastgrad.questions.comparison import compared
    from fastgrad_cli.files import require_same_point

    require_same_point(first, second)
    problems = checking.load(first, description), checking.load(first, description, second)
    for problem, file in zip(problems, (first, second), strict=True):
        checking.require_gradients(problem, file)
    with terminal.working() as progress:
        found = compared((first, second), problems, How(diagnosis=not no_diagnosis, progress=progress))
    _show_report(found, as_json, loudness)
    return terminal.EXIT_CODES[found.verdict]


@main.command(
    cls=Grouped,
    epilog=_examples(
        "fastgrad sweep model.npz",
        "fastgrad sweep model.npz --plot curves.svg",
        "fastgrad sweep model.npz --from 1e-3 --to 1e-9 --sample 50",
    ),
)
@file_argument
@click.option("--from", "largest", type=float, default=1e-1, metavar="H", show_default=True, help="The largest step.")
@click.option("--to", "smallest", type=float, default=1e-13, metavar="H", show_default=True, help="The smallest step.")
@click.option("--plot", metavar="FILE", help="Draw the curves into a .png or .svg, replacing it; needs matplotlib.")
@description_options
@draw_options
@json_option
def sweep(
    file: str,
    largest: float,
    smallest: float,
    plot: str | None,
    description: dict[str, Any],
    draw: dict[str, Any],
    as_json: bool,
) -> int:
    """Show how the step decides the error of a numerical gradient.

    Some parameters of FILE, drawn at random, are differentiated with steps from large to tiny: by the forward, central
    and five-point difference of the textbook and by fastgrad's propagated central difference. The gradients in FILE are
    not looked at.
    """
    from fastgrad.report.pictures import require
    from fastgrad.teaching import pictures
    from fastgrad.teaching.sweep import sweep_steps

    path = None if plot is None else require(plot)
    problem = checking.load(file, description)
    with terminal.working("steps") as progress:
        found = sweep_steps(problem, largest=largest, smallest=smallest, **draw, progress=progress)
    if path is not None:
        pictures.draw_sweep(found, path)
    if as_json:
        terminal.show_json(found.to_dict())
    else:
        terminal.show(found)
        if path is not None:
            click.echo(f"Wrote {terminal.printable(str(path))}.")
    return terminal.RIGHT


@main.command(cls=Grouped, epilog=_examples("fastgrad selftest model.npz", "fastgrad selftest model.npz --hidden tanh --json"))
@file_argument
@description_options
@json_option
def selftest(file: str, description: dict[str, Any], as_json: bool) -> int:
    """Plant every known mistake into FILE's network and see whether it is named.

    Each mistake that fastgrad knows and that applies to this network is built into its right gradient, which is then
    checked like any other. The gradients in FILE are not looked at. The exit code is 0 if every mistake that shows is
    named.
    """
    from fastgrad.diagnosis.selftest import selftest as plant_and_look

    problem = checking.load(file, description)
    with terminal.working("mistakes planted") as progress:
        found = plant_and_look(problem, progress)
    if as_json:
        terminal.show_json(found.to_dict())
    else:
        terminal.show(found)
    return terminal.EXIT_CODES[found.verdict]


@main.command(
    cls=Grouped,
    epilog=_examples(
        "fastgrad grade 'submissions/*.py' --function backward --network assignment.npz --to results",
        "fastgrad grade network.py --function backward --network assignment.npz --seed 4711 --to results",
        "fastgrad grade submissions --network assignment.npz --points dW1=2,calls=0 --to results",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--network", required=True, metavar="FILE", help="A model file with the network, X and Y; its gradients are not read."
)
@click.option("--to", "folder", required=True, metavar="FOLDER", help="Where the table and everybody's results are written.")
@click.option(
    "--function",
    default="backward",
    metavar="NAME",
    show_default=True,
    help="The function in each FILE, called as NAME(parameters, X, Y).",
)
@click.option(
    "--seed",
    type=click.IntRange(min=1),
    metavar="N",
    help="Try everybody's function at hidden points as well, drawn with this seed.",
)
@click.option(
    "--points",
    metavar="NAME=N,...",
    help="What each gradient is worth, and as calls that the function can be called again, and with other numbers of examples; "
    "1 where nothing is said.",
)
@click.option(
    "--feedback",
    type=click.Choice(["verdict", "place", "cause"]),
    default="cause",
    show_default=True,
    help="What the authors are told: which gradients are wrong; also where; also why.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0, min_open=True),
    default=30.0,
    metavar="SECONDS",
    show_default=True,
    help="Time for each FILE, all calls of its function together.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0.0, min_open=True),
    default=2.0,
    metavar="GIB",
    show_default=True,
    help="Memory for each FILE beside Python and NumPy, and for any file that it writes; held on Linux alone.",
)
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="How many at a time; by default one for each core.")
@description_options
@json_option
def grade(
    files: tuple[str, ...],
    network: str,
    folder: str,
    function: str,
    seed: int | None,
    points: str | None,
    feedback: Feedback,
    timeout: float,
    memory: float,
    jobs: int | None,
    description: dict[str, Any],
    as_json: bool,
) -> int:
    """Grade many people's backward functions.

    Each FILE is Python; a folder, or a pattern in quotes, stands for all in it. Every function runs in a process and an
    empty folder of its own, with a reduced environment and limits, and is tried at the point in the network's file, at
    others that are the same for everybody, and with --seed at hidden ones. A gradient has its points where it is right at
    all of them. grades.csv has a row for each FILE; results.json is Gradescope's, for several FILEs in a folder for each.
    The process is no sandbox: what a function does to this machine on purpose is not held up.

    Exit codes: 0 all were graded, whatever their points; 2 the command, the network or fastgrad itself is at fault; 130
    interrupted, nothing is written.
    """
    from fastgrad.machine import most_threads
    from fastgrad_cli import grading, targets

    handed_in = grading.submissions(targets.expanded(files, (".py",)))
    asked = grading.assignment(network, function, description, points, seed, feedback)
    grading.require_folder(folder)
    grading.told_of_limits()
    limits = grading.Limits(timeout, int(memory * 2**30))
    grades = grading.graded(handed_in, asked, limits, jobs or most_threads())
    grading.show(grades, grading.write(grades, folder), as_json)
    return terminal.RIGHT


@main.command(epilog=_examples("fastgrad explain slope.missing", "fastgrad explain", "fastgrad explain --json"))
@click.argument("code", required=False)
@json_option
def explain(code: str | None, as_json: bool) -> int:
    """Say what a finding's CODE means; without CODE, list all of them."""
    from fastgrad_cli.codes import chosen, explanation

    if as_json:
        terminal.show_json({"schema": SCHEMA, "codes": [entry.to_dict() for entry in chosen(code)]})
    else:
        terminal.show(explanation(chosen(code)))
    return terminal.RIGHT


@main.group(
    cls=Demos,
    invoke_without_command=True,
    epilog=_examples(
        "fastgrad demo planted        two mistakes in a small relu network",
        "fastgrad demo repaired       the same network without them",
        "fastgrad demo cat            12288-5-5-1, tanh, 209 images",
        "fastgrad demo digits         784-50-10, sigmoid and softmax, 100 images",
        "fastgrad demo forgotten-m    the division by m forgotten",
        "fastgrad demo train          a network that learns digits by numerical gradients",
        "fastgrad demo descent        the way down a bowl",
    ),
)
@json_option
@click.pass_context
def demo(context: click.Context, as_json: bool) -> int:
    """Check a built-in network, or train one.

    Write the network NAME to NAME.npz in this folder and check that file; without a name, the network planted. The
    exit code is 0 if the check finds exactly the mistakes that were planted.
    """
    return terminal.RIGHT if context.invoked_subcommand else _check_demo(None, as_json)


@demo.command(
    epilog=_examples(
        "fastgrad demo train --plot curves.svg",
        "fastgrad demo train --data folder-of-mnist --iterations 2000",
    )
)
@click.option("--data", metavar="FOLDER", help="A folder with MNIST's idx files; by default fastgrad's own 1,797 digits.")
@click.option(
    "--iterations", type=click.IntRange(min=1), default=10_000, metavar="N", show_default=True, help="How many steps."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, metavar="N", show_default=True, help="Seed of everything that is drawn."
)
@click.option("--plot", metavar="FILE", help="Draw the accuracies into a .png or .svg, replacing it; needs matplotlib.")
@json_option
def train(data: str | None, iterations: int, seed: int, plot: str | None, as_json: bool) -> int:
    """Train a network by numerical gradients alone.

    It learns handwritten digits: pixels-50-10, sigmoid and softmax, batches of 100, rate 0.1. It is then trained again by
    backpropagation, from the same weights with the same batches; the books' own loop is timed on a few parameters.
    """
    from fastgrad.report.pictures import require
    from fastgrad.teaching import pictures, training
    from fastgrad.teaching.digits import load_digits
    from fastgrad_cli import demos

    path = None if plot is None else require(plot)
    digits = load_digits(data, seed)
    if not as_json:
        click.echo(demos.training_heading(digits, seed))
    with terminal.working("training"):
        found = training.compare(digits, iterations, seed=seed, watch=None if as_json else demos.show_moment)
    if path is not None:
        pictures.draw_training(found, path)
    if as_json:
        terminal.show_json(found.to_dict())
    else:
        click.echo(demos.training_conclusion(found, path))
    return terminal.RIGHT


@demo.command(epilog=_examples("fastgrad demo descent --plot path.svg", "fastgrad demo descent --rate 0.9"))
@click.option("--rate", type=float, default=0.1, metavar="R", show_default=True, help="Learning rate.")
@click.option("--iterations", type=click.IntRange(min=0), default=20, metavar="N", show_default=True, help="How many steps.")
@click.option("--plot", metavar="FILE", help="Draw gradients and path into a .png or .svg, replacing it; needs matplotlib.")
@json_option
def descent(rate: float, iterations: int, plot: str | None, as_json: bool) -> int:
    """Descend x0^2 + x1^2 from (-3, 4) by numerical gradients."""
    from fastgrad.report.pictures import require
    from fastgrad.teaching import pictures
    from fastgrad.teaching.descent import gradient_descent
    from fastgrad_cli import demos

    path = None if plot is None else require(plot)
    found = gradient_descent(demos.bowl, demos.START, rate=rate, iterations=iterations)
    if path is not None:
        pictures.draw_descent(demos.bowl, found.history, path, subtitle=demos.descent_in_words(rate, iterations))
    if as_json:
        terminal.show_json(demos.descent_document(found, rate))
    else:
        click.echo(demos.descent_text(found, rate, path))
    return terminal.RIGHT


def _check_demo(name: str | None, as_json: bool) -> int:
    """Write a built-in network to a file and check that."""
    from fastgrad.teaching import demo as networks
    from fastgrad_cli.files import write_demo

    chosen = networks.find(name) if name else networks.DEMOS[0]
    path = write_demo(chosen)
    if not as_json:
        click.echo(f"{chosen.name}: {chosen.summary}.\nThe file is {path}. Check it yourself: fastgrad check {path}\n")
    report = checking.check(checking.load(str(path), {}), {})
    _show_report(report, as_json)
    found = tuple(tensor.name for tensor in report.tensors if tensor.verdict == "wrong")
    as_planted = found == chosen.wrong and report.verdict != "not judged"
    if not as_json:
        click.echo(_conclusion(chosen, as_planted))
    return terminal.RIGHT if as_planted else terminal.FAILED


def _draw(draw: Callable[[BaseReport], str], report: BaseReport, say: bool, code: int) -> int:
    """Draw a report that has been shown; a picture that fails takes back neither the document nor a verdict of wrong."""
    try:
        drawn = draw(report)
    except KeyboardInterrupt:
        terminal.note("Interrupted.")
        return terminal.INTERRUPTED
    except Exception as error:
        terminal.complain(error)
        return terminal.FAILED if code == terminal.RIGHT else code
    if say:
        click.echo(drawn)
    return code


def _pencil(picture: str) -> Callable[[BaseReport], str]:
    """Return what draws a report's errors and says what it did, once it is sure that there can be such a picture."""
    from fastgrad.report import Report, pictures
    from fastgrad.trials import BackwardReport

    path = pictures.require(picture)

    def draw(report: BaseReport) -> str:
        assert isinstance(report, Report | BackwardReport)
        if pictures.drawable(report) is None:
            return "No picture was written: nothing was found wrong, entry by entry."
        pictures.draw_errors(report, path)
        return f"Wrote {terminal.printable(str(path))}."

    return draw


def _show_report(report: BaseReport, as_json: bool, loudness: str = "") -> None:
    """Print a report for a person, as loudly as asked for, or for a machine."""
    from fastgrad_cli import outputs

    if as_json:
        terminal.show_json(report.to_dict())
    else:
        terminal.show(outputs.as_loudly(report, loudness))


def _conclusion(chosen: Demo, as_planted: bool) -> str:
    """Say whether a demo found what was planted, and which demos there are besides."""
    from fastgrad.teaching.demo import DEMOS

    if not as_planted:
        outcome = "This is not what was planted. Please report it."
    elif chosen.wrong:
        outcome = "These are exactly the planted mistakes, so the exit code is 0."
    else:
        outcome = "The gradients are right, as they should be: nothing was planted here."
    others = "\n".join(f"  fastgrad demo {demo.name:<12} {demo.summary}" for demo in DEMOS if demo is not chosen)
    return f"\n{outcome}\nOther demos:\n{others}"


if __name__ == "__main__":
    main()
