import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import make_models
from videos import write_video

PAGE = Path(__file__).parents[2] / "docs/api.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_page_run(number, workplace, capsys):
    make_models()
    write_video(Path("operation.mp4"), 30, fps=5)
    exec(compile(EXAMPLES[number], f"{PAGE.name}, example {number + 1}", "exec"), {})
    assert "Preparation" in (printed := capsys.readouterr().out) or "Clipping" in printed


def test_the_package_is_light_until_it_is_asked_for_more():
    code = "import sys, pipeline.cli; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
