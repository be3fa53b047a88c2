"""Figures of a camera into plain words for whoever sets it up, in Chinese and English."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Protocol

from agent.vision.tune import WANTED, WANTED_ELSE, Figures

Language = Literal["zh", "en"]

WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "good": {
            "zh": "位置、焦距和光线都合适，不用改。",
            "en": "Place, focus and light are right: leave them.",
        },
        "nothing_read": {
            "zh": "一张也没有读出：先看画面里有没有码、清不清楚、码制对不对。",
            "en": "Nothing was read: look whether a code is in the picture, sharp, and of this "
            "symbology.",
        },
        "few_read": {
            "zh": "只读出 {percent}%。",
            "en": "Only {percent} % were read.",
        },
        "closer_mm": {
            "zh": "每个模块只有 {module} 像素，需要 {wanted}：相机移近 {mm} 毫米，"
            "或换焦距更长的镜头。",
            "en": "A module has only {module} px and needs {wanted}: move the camera {mm} mm "
            "closer, or take a longer lens.",
        },
        "closer": {
            "zh": "每个模块只有 {module} 像素，需要 {wanted}：相机移近，距离缩短 {percent}%，"
            "或换焦距更长的镜头。",
            "en": "A module has only {module} px and needs {wanted}: move the camera {percent} % "
            "of its distance closer, or take a longer lens.",
        },
        "farther": {
            "zh": "每个模块有 {module} 像素，{wanted} 就够：可以移远，视野更大。",
            "en": "A module has {module} px and {wanted} would do: the camera may stand farther "
            "off and see more.",
        },
        "focus": {
            "zh": "画面发虚（边缘模糊 {blur} 像素，占模块的 {percent}%）：重新对焦，或缩小光圈。",
            "en": "The picture is soft (edges are {blur} px wide, {percent} % of a module): focus "
            "the lens, or close its aperture.",
        },
        "motion_x": {
            "zh": "沿水平方向拖影（是另一方向的 {times} 倍）：缩短曝光时间，加强光源。",
            "en": "It is smeared along the width of the picture ({times} times the other way): "
            "shorten the exposure and give more light.",
        },
        "motion_y": {
            "zh": "沿垂直方向拖影（是另一方向的 {times} 倍）：缩短曝光时间，加强光源。",
            "en": "It is smeared along the height of the picture ({times} times the other way): "
            "shorten the exposure and give more light.",
        },
        "dark": {
            "zh": "太暗（底色 {level}/255）：曝光加到 {times} 倍，或加光。",
            "en": "Too dark (the ground is {level} of 255): expose {times} times as long, or give "
            "more light.",
        },
        "bright": {
            "zh": "太亮（{percent}% 的像素过曝）：曝光减到 {times} 倍，或避开反光。",
            "en": "Too bright ({percent} % of the pixels are at the upper end): expose {times} "
            "times as long, or turn the light so that it does not shine back.",
        },
        "contrast": {
            "zh": "码与底色对比只有 {percent}%：换光的角度或颜色，检查印刷。",
            "en": "Between code and ground is a contrast of only {percent} %: change the angle or "
            "the colour of the light, and look at the print.",
        },
        "side_left": {
            "zh": "左边的光弱 {percent}%。",
            "en": "Light from the left is {percent} % weaker.",
        },
        "side_right": {
            "zh": "右边的光弱 {percent}%。",
            "en": "Light from the right is {percent} % weaker.",
        },
        "side_top": {
            "zh": "上边的光弱 {percent}%。",
            "en": "Light from above is {percent} % weaker.",
        },
        "side_bottom": {
            "zh": "下边的光弱 {percent}%。",
            "en": "Light from below is {percent} % weaker.",
        },
        "strays": {
            "zh": "画面里还有别的码：缩小读码区域。",
            "en": "There are other codes in the picture: make the region smaller.",
        },
    }
)
"""Every advice by its key."""


class _Say(Protocol):
    def __call__(self, key: str, **args: str) -> None:
        """Add one piece of advice."""


SOFT = 0.38
"""Sigma of the edges, in modules, above which reads are lost."""
SMEARED = 1.6
DARK, AIM = 110.0, 190.0
"""Grey values of the ground: too dark below the first; what an exposure should give."""
GLARE = 0.06
WEAK = 0.35
"""Contrast below which a worn print is soon no read."""
UNEVEN = 0.75


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice: a key of WORDS with what is to be put into it."""

    key: str
    args: Mapping[str, str]

    def words(self, language: Language) -> str:
        """The sentence."""
        return WORDS[self.key][language].format(**self.args)


def advise(figures: Figures, symbology: str, distance: float | None = None) -> list[Advice]:
    """What to change, the most important first. `distance` is that of lens and code in mm."""
    found: list[Advice] = []

    def say(key: str, **args: str) -> None:
        found.append(Advice(key, args))

    if figures.read == 0:
        say("nothing_read")
    elif figures.read < 0.995:
        say("few_read", percent=f"{100 * figures.read:.1f}")
    wanted = WANTED.get(symbology, WANTED_ELSE)
    if figures.module is not None:
        share = figures.module / wanted
        sizes = {"module": f"{figures.module:.1f}", "wanted": f"{wanted:g}"}
        if share < 0.97 and distance:
            say("closer_mm", mm=f"{distance * (1 - share):.0f}", **sizes)
        elif share < 0.97:
            say("closer", percent=f"{100 * (1 - share):.0f}", **sizes)
        elif share > 3:
            say("farther", **sizes)
    _sharpness(figures, say)
    _light(figures, say)
    if figures.strays:
        say("strays")
    return found or [Advice("good", {})]


def exposure_factor(figures: Figures) -> float | None:
    """By how much the exposure should be multiplied; None where it is right."""
    if figures.glare > GLARE:
        return 0.7
    if figures.level < DARK:
        return round(min(8.0, AIM / max(1.0, figures.level)), 2)
    return None


def _sharpness(figures: Figures, say: _Say) -> None:
    if figures.blur is None:
        return
    smear = figures.smear or 1.0
    if max(smear, 1 / smear) >= SMEARED and figures.blur > 1.2:
        key = "motion_x" if smear > 1 else "motion_y"
        say(key, times=f"{max(smear, 1 / smear):.1f}")
    elif figures.module is not None and figures.blur / figures.module > SOFT:
        share = figures.blur / figures.module
        say("focus", blur=f"{figures.blur:.1f}", percent=f"{100 * share:.0f}")


def _light(figures: Figures, say: _Say) -> None:
    times = exposure_factor(figures)
    if times is not None and times > 1:
        say("dark", level=f"{figures.level:.0f}", times=f"{times:g}")
    elif times is not None:
        say("bright", percent=f"{100 * figures.glare:.0f}", times=f"{times:g}")
    elif figures.contrast < WEAK and figures.read:
        say("contrast", percent=f"{100 * figures.contrast:.0f}")
    for side, share in zip(("left", "right", "top", "bottom"), figures.sides, strict=True):
        if share < UNEVEN:
            say(f"side_{side}", percent=f"{100 * (1 - share):.0f}")
