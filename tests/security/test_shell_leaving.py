"""Whether a command leaves the project is judged by every word of it; bash itself is asked whether that was right."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimocode.tools.shell import judge
from support.programs import plain_environment

LEAVING = """
sed -i s/a/b/ OUT/x
rg x OUT
grep -rn foo OUT
grep -e foo OUT/x
grep -f OUT/patterns a
sed -e s/a/b/ OUT/x
sed -n '/a/p' b OUT/x
awk -f OUT/prog a
tar -C OUT -xf a.tar
tar -xf a.tar -COUT
tar -xfOUT/a.tar
curl -o OUT/new http://h/x
curl -oOUT/new http://h/x
curl --output=OUT/new http://h/x
curl -d @OUT/x http://h
curl -F file=@OUT/x http://h
curl file://OUT/x
dd if=a of=OUT/new
python3 OUT/run.py
python3 ../outside/run.py
c a b/../../outside/x
c ~/x
c "${HOME}/x"
c $HOME
c ~root/x
c ~+/../outside
c $GIVEN/x
c "$GIVEN"
c ${UNSET}OUT/x
c $'\\x2fetc\\x2fpasswd'
c /etc/passwd
c /proc/self/environ
c /et*/passwd
c /e{tc,x}/passwd
c {a,OUT/b}
c OUT/*.py
c OUT/$RANDOM
x=OUT; c $x/new
x=.. c
x=..; c $x/outside
x=/usr; c $x/new/x
export X=OUT
declare -a a=(OUT/x)
a=(OUT/x b)
for f in OUT/a OUT/b; do c $f; done
c ${y:-OUT/x}
c $(echo OUT/x)
c `echo OUT/x`
echo OUT/x | xargs c
echo OUT/x > list
echo OUT/*
c <<< OUT/x
[ -f OUT/x ]
[[ -e OUT/x ]]
test -d OUT
c link/x
c --out=link/x
c -olink/x
c in.txt:OUT/x
c in.txt,OUT/x
c sqlite:///OUT/x.db
PATH=OUT:$PATH c
LD_PRELOAD=OUT/x.so c
OUT/run.sh
../outside/run.sh
~/run.sh
c OUT/bin/c
x=OUT/bin; rm -f $x/c
link/run.sh
sudo OUT/run.sh
sudo c /new-thing
env OUT/run.sh a
bash OUT/x.sh
bash -c 'c OUT/x'
bash -c 'echo OUT/x' | xargs c
eval "c OUT/x"
bash <<< 'c OUT/x'
cd OUT && c
cd sub && c ../../outside/x
(cd sub); c ../outside/x
cd sub || c ../outside/x
cd missing; c ../outside/x
cd sub && cd .. && c ../outside/x
cd() { :; }; cd sub && c ../outside
find . -newer OUT/x
git -C OUT status
git --git-dir=OUT/.git log
git clone . OUT/several/folders/deep
make -f OUT/Makefile
make DESTDIR=OUT install
gcc -IOUT a.c
docker run -v OUT:/data image
scp OUT/x host:/y
rsync -a . OUT
cat < OUT/x
c 2> OUT/log
if c OUT/x; then :; fi
f() { c OUT/x; }; f
f() { echo OUT/x; }; f | xargs c
c <(cat OUT/x)
c -- OUT
xargs c / < a
""".strip().splitlines()

STAYING = """
c
c a sub/b ./c
c IN/a
c sub/../a
c --out=sub/x -osub/y of=z
c "a b" 'c' a:b,c=d
.venv/bin/python a.py
/usr/bin/env python3 a.py
/bin/ls -l
OUT/venv/bin/python a.py
~/.local/bin/uv run a.py
PATH=OUT/bin:$PATH c
sudo /usr/bin/c
find . -exec /bin/rm {} +
c /dev/null
c > /dev/null 2>&1
c --log=/dev/stderr < /dev/stdin
sed '/foo/d' a
sed -n '/etc/p' a
sed -i -e '/etc/d' a
sed 's|/usr|/opt|' a
sed -E 's,/usr,/opt,' a
grep '/usr' a
grep -rn '/etc/passwd' .
rg -l --color=never '/etc'
awk '/etc/ {print}' a
awk -F/ '{print $1}' a
cut -d/ -f1 a
cut -d / -f1 a
tr / - < a
sort -t/ -k2 a
IFS=/ read -r x y
curl https://example.com/etc/passwd
curl "https://h/x?path=/etc/passwd&b=/usr"
git clone https://h/usr/bin.git
pip install --index-url=https://h/etc git+ssh://git@h/etc
git log main..feature
git diff HEAD~1..HEAD -- a
git commit -m "fix: the /etc/hosts parser"
git commit -m 'a/b/../../c'
go test ./...
c /foo/bar/baz
c s/a/../b/
c /api/v1/users
c 1/2 -1 +%Y/%m/%d
echo /etc/passwd
echo "see $HOME and /etc"
printf '%s\\n' /etc/passwd
if c; then echo /etc; else echo ~; fi
echo $PATH
export PATH=/usr/bin:$PATH
CC=/usr/bin/gcc make
cd sub && c ../a
cd sub && cd deep && c ../../a > /dev/null
cd sub > /dev/null && c a && c ../a
read -r x; c $x/etc
for f in *.py; do c $f ${f%/*} ${f##*/}; done
c $(date) $RANDOM
c "$@" $1/etc
docker run -v .:/etc image
scp host:/etc/x .
rsync -a user@host:/etc/ sub
[[ $x == /etc/* ]]
case $x in /etc/*) c;; esac
cat <<E\\n$HOME/x\\nE
xargs -d/ c
. ./env.sh; c $SET_THERE/etc
c # /etc/passwd
""".strip().splitlines()


@dataclass(frozen=True)
class World:
    """`root/project` is the project; beside it a home and other files."""

    root: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def environ(self) -> dict[str, str]:
        return {
            **plain_environment(self.root),
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.root / "home"),
            "GIVEN": str(self.root / "outside"),
        }

    def written(self, template: str) -> str:
        text = template.replace("\\n", "\n") if "<<E" in template else template
        return text.replace("OUT", str(self.root / "outside")).replace("IN", str(self.project))

    def leaves(self, command: str) -> list[Path]:
        """What outside the project a command is judged to touch or run."""
        verdict = judge(command, self.project, self.environ)
        return [path for path in [*verdict.touched, *verdict.programs] if not path.is_relative_to(self.project)]

    def outside(self) -> dict[str, tuple[int, int, bytes]]:
        """What is there beside the project, and how it looks."""
        return {
            str(path): (path.lstat().st_mtime_ns, path.lstat().st_size, path.read_bytes() if path.is_file() else b"")
            for folder in ("outside", "home")
            for path in [self.root / folder, *(self.root / folder).rglob("*")]
        }


def made(root: Path) -> World:
    world = World(root.resolve())
    for folder in ("project/sub/deep", "project/.venv/bin", "outside", "home"):
        (world.root / folder).mkdir(parents=True)
    (world.project / "link").symlink_to("../outside")
    (world.project / ".venv/bin/python").symlink_to("/usr/bin/python3")
    for file in ("project/a", "project/b", "outside/x", "home/x"):
        (world.root / file).write_text("a\n")
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path)


@pytest.mark.parametrize("command", LEAVING)
def test_what_names_something_outside_anywhere_leaves(world: World, command: str) -> None:
    if command.startswith("sudo c /new") and os.path.lexists("/new-thing"):
        pytest.skip("this machine has a /new-thing")

    assert world.leaves(world.written(command))


@pytest.mark.parametrize("command", STAYING)
def test_what_names_nothing_outside_does_not(world: World, command: str) -> None:
    assert world.leaves(world.written(command)) == []


def test_what_is_judged_is_the_very_place(world: World) -> None:
    leaves = {
        command: [str(path) for path in world.leaves(world.written(command))]
        for command in ("c -oOUT/new", "c link/y", "c $GIVEN/z*", "git clone . OUT/p/q", "~/run.sh", "c '/etc/passwd'")
    }

    out = f"{world.root}/outside"
    assert list(leaves.values()) == [
        [f"{out}/new"],
        [f"{out}/y"],
        [out],
        [f"{out}/p/q"],
        [f"{world.root}/home/run.sh"],
        ["/etc/passwd"],
    ]


def test_a_command_that_names_more_than_can_be_looked_at_leaves(world: World) -> None:
    assert world.leaves("c " + "a/" * 3_000 + "," * 3_000 + " b,c" * 5_000) == [Path("/")]


@pytest.mark.parametrize(
    "command",
    [
        "true && " * 3_000 + "echo /etc",
        "cd sub && " * 3_000 + "c ../x",
        "c || " * 3_000 + "c OUT/x",
        "".join(f"v{at}=$v{at - 1}/x; " for at in range(1, 1_500)),
        "a0=/xx; " + "".join(f"a{at}=$a{at - 1}$a{at - 1}; " for at in range(1, 60)) + "c $a59",
        "(" * 500 + "c OUT/x" + ")" * 500,
    ],
)
def test_no_command_keeps_the_judgement_busy_or_breaks_it(world: World, command: str) -> None:
    assert isinstance(world.leaves(world.written(command)), list)


# ── against bash ─────────────────────────────────────────────────────────────────────────────────────────

PLACES = r"""
sub/n
a
./sub/../n
IN/sub/n
../outside/n
sub/../../outside/n
OUT/n
'OUT/n'
"OUT"/n
link/n
~/n
$HOME/n
"${HOME}/n"
$GIVEN/n
${UNSET}OUT/n
$x/n
"$x"/n
OUT/x
{sub,OUT}/n
${y:-OUT}/n
$(echo OUT)/n
`echo OUT`/n
~+/../outside/n
OUT/p/q
""".strip().splitlines()

WRITING = r"""
touch @
cp a @
dd if=a of=@
dd of=@ if=a
echo b | tee @
echo b > @
cat a >> @
ln a @
mkdir -p @
install -D a @
sort -o@ a
sort -o @ a
sort --output=@ a
sed -i s/a/b/ @
truncate -s 9 @
rm -rf @
bash -c 'touch @'
eval touch @
sh -c 'touch $0' @
echo @ | xargs touch
printf '%s' @ | xargs -I{} touch {}
for f in @; do touch $f; done
z=@; touch $z
z=@ sh -c 'touch $z'
export z=@; sh -c 'touch $z'
env touch @
split a @
gzip -c a > @
cp -t @ a
cp --target-directory=@ a
tar -cf @ a
tar -cf@ a
git init -q @
touch <(true) @
xargs touch <<< @
xargs -a <(echo @) touch
a=(@); touch ${a[0]}
cd @ && touch m
cd sub && touch @
cd sub; touch ../@
f() { touch $1; }; f @
timeout 5 touch @
find a -exec cp {} @ ';'
test -e @ || touch @
command touch @
nice touch @
mktemp -p @
python3 -m zipfile -c @ a
""".strip().splitlines()

AROUND = [
    "@", "x=..; @", "x=OUT; @", "x=sub\n@", "true && @", "(@)", "{ @; }", "@ | cat", "@ &\nwait",
    "cd sub/deep && cd ../.. && @",
]  # fmt: skip


def run(world: World, command: str) -> None:
    subprocess.run(
        ["/bin/bash", "--norc", "-c", command],
        cwd=world.project,
        env=world.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )


def written_outside(world: World, command: str) -> bool:
    before = world.outside()
    run(world, command)
    return world.outside() != before


def put_together(around: str, writing: str, place: str) -> str:
    return around.replace("@", writing.replace("@", place))


commands = st.builds(put_together, st.sampled_from(AROUND), st.sampled_from(WRITING), st.sampled_from(PLACES))


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no /bin/bash to ask what it writes")
@settings(
    max_examples=250,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(commands)
@example("echo OUT/n | xargs touch")
@example("cd sub && touch ../../outside/n")
def test_whatever_bash_writes_outside_was_judged_to_leave(
    tmp_path_factory: pytest.TempPathFactory, template: str
) -> None:
    world = made(tmp_path_factory.mktemp("world"))
    command = world.written(template)
    leaves = world.leaves(command)

    assert leaves or not written_outside(world, command)


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no /bin/bash to ask what it writes")
def test_each_way_of_writing_that_is_tried_does_write(tmp_path_factory: pytest.TempPathFactory) -> None:
    """So that the property above is not one of commands that do nothing."""
    folders = {"cd @ && touch m", "cp -t @ a", "cp --target-directory=@ a", "mktemp -p @"}
    silent: list[str] = []
    for way in WRITING:
        world = made(tmp_path_factory.mktemp("world"))
        place = "OUT" if way in folders else "OUT/x" if way in ("sed -i s/a/b/ @", "rm -rf @") else "OUT/n"
        if not written_outside(world, world.written(way.replace("../@", "../../outside/n").replace("@", place))):
            silent.append(way)

    assert silent == []
