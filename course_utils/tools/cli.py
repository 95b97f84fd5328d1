"""The `course` command."""

import argparse
import os
import sys

from .pages import CourseError


def main(arguments: list[str] | None = None) -> int:
    """Entry point: returns the exit status; what the person can mend is one sentence on stderr, never a traceback."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.verb not in ("lab", "test"):
        parser.error(f"unknown option {' '.join(rest)}: `course {options.verb} --help` lists what there is")
    try:
        return options.do(options, rest) or 0
    except CourseError as problem:
        print(problem, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `course list | head`: whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="course", description="Zero to NN: the course's few commands.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")

    def verb(name: str, what: str, do) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        sub.set_defaults(do=do)
        return sub

    lecture = "a lecture: 2, 02 or 02_makemore_bigrams"
    verb("list", "list the lectures, with the time and memory of a run", _list)
    run = verb("run", "run a lecture from top to bottom, into runs/", _run)
    run.add_argument("lecture", help=lecture)
    run.add_argument("--profile", metavar="full", help="the values of notebooks/full.toml instead of the default ones")
    work = verb("work", "copy an exercise to work/, where it is yours; never overwrites", _work)
    work.add_argument("lecture", help=lecture)
    progress = verb("progress", "tell which tasks of your exercises in work/ pass their checks", _progress)
    progress.add_argument("lecture", nargs="?", help=lecture)
    data = verb("data", "list the data sets, or fetch one", _data)
    data.add_argument("name", nargs="?", help="a data set, as `course data` lists them")
    build = verb("build", "make notebooks, exercises and modules from sources/, executing what changed", _build)
    build.add_argument("lecture", nargs="*", help=lecture + "; all when none is given")
    build.add_argument("--all", action="store_true", help="execute every page, also those that did not change")
    race = verb(
        "bench", "time the classic training loop and the lecture's own, lectures 03 to 07, on this machine", _bench
    )
    race.add_argument("lecture", nargs="*", help="some of 03 to 07; all when none is given")
    race.add_argument("--whole", action="store_true", help="train lecture 07 to its end, instead of a fifth")
    ask = verb("ask", "answer a question from the lectures, with their sections; without one, ask for questions", _ask)
    ask.add_argument("question", nargs="*", help="in your own words, in quotes")
    lab = verb("lab", "open JupyterLab on the course; further options are passed on to it", _lab)
    lab.add_argument("--port", type=int, help="the port to listen on (default 8888)")
    verb("test", "run the whole test suite; further options are passed on to pytest", _test)
    return parser


def _list(options, rest) -> None:
    from .learn import print_list

    print_list()


def _run(options, rest) -> int:
    from .learn import run
    from .pages import find

    return run(find(options.lecture), options.profile)


def _work(options, rest) -> None:
    from .learn import work
    from .pages import find

    work(find(options.lecture))


def _progress(options, rest) -> int:
    from .learn import progress
    from .pages import find

    return progress(find(options.lecture) if options.lecture else None)


def _data(options, rest) -> int:
    from .learn import data

    return data(options.name)


def _build(options, rest) -> int:
    from .build import build
    from .pages import find

    return min(1, build([find(word) for word in options.lecture], options.all))


def _bench(options, rest) -> int:
    from .bench import bench
    from .pages import find

    return bench([find(word) for word in options.lecture], options.whole)


def _ask(options, rest) -> int:
    from .ask import main as ask

    return ask(options.question)


def _lab(options, rest) -> int:
    from .lab import lab

    return lab(options.port, rest)


def _test(options, rest) -> int:
    from .suite import main as suite

    return suite(rest)


if __name__ == "__main__":
    sys.exit(main())
