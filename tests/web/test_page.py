"""What the user of the page sees, in a real browser."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.lifecycle import Gateway
from browsers import Captions, captions_page
from calls import RECORDINGS, silence
from coded_speech import coded
from dashscope_emulator.recognizers.script import load_script
from emulated_vendor import vendor_and_gateway
from gateways import open_gateway
from languages.recordings import write_wav

pytestmark = pytest.mark.usefixtures("chromium")

#: A browser on a busy machine may send nothing for a while; silence in the middle of speech would change the words.
WEB: dict[str, Any] = {"web_listen": "127.0.0.1:0", "quiet_after_seconds": 30.0}


KEY = "correct-horse-battery"
SPEECH = load_script(Path(__file__).with_name("speech.yaml"))


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{hashed_line(KEY)}\n", encoding="utf-8")
    return path


@asynccontextmanager
async def page_of(**context: Any) -> AsyncIterator[Captions]:
    """The page of a gateway whose recogniser writes a script, whatever it hears; no error may show in its console."""
    emulator = {"recognizer": "script", "script": SPEECH}
    async with vendor_and_gateway(emulator=emulator, **WEB) as (_, gateway, _), opened(gateway, **context) as captions:
        yield captions


@asynccontextmanager
async def opened(gateway: Gateway, **context: Any) -> AsyncIterator[Captions]:
    async with captions_page(gateway.web_address, **context) as captions:
        yield captions
        assert captions.problems == []


async def test_the_microphone_gives_captions() -> None:
    async with page_of() as captions:
        await captions.press_microphone()
        await captions.shows("how are")
        assert await captions.finals() == ["Good morning."]


async def test_the_last_words_come_after_stop_and_nothing_is_doubled() -> None:
    async with page_of() as captions:
        await captions.press_microphone()
        await captions.shows("how are")
        await captions.press_microphone()
        await captions.state("done")
        assert await captions.finals() == ["Good morning.", "how are"]
        assert await captions.page.locator("#interim").is_hidden()


async def test_interim_text_is_hidden_from_screen_readers_and_final_text_is_a_live_log() -> None:
    async with page_of() as captions:
        await captions.press_microphone()
        await captions.shows("how are")
        assert await captions.page.locator("#interim").get_attribute("aria-hidden") == "true"
        log = captions.page.get_by_role("log")
        assert await log.get_attribute("aria-live") == "polite"
        assert await log.inner_text() == "Good morning."


async def test_audio_is_sent_from_the_first_100_ms_on_at_the_browsers_rate() -> None:
    async with page_of() as captions:
        await captions.press_microphone()
        await captions.shows("how are")
        config, *frames = captions.sent
        rate = json.loads(config)["decodingConfig"]["sampleRateHertz"]
        assert rate in {44_100, 48_000}
        assert {len(frame) for frame in frames} == {rate // 10 * 2}


async def test_delays_amount_and_model_are_shown() -> None:
    async with page_of() as captions:
        await captions.press_microphone()
        await captions.shows("how are")
        await captions.press_microphone()
        await captions.state("done")
        assert (await captions.figure("first-package")).endswith(" ms")
        assert (await captions.figure("last-package")).endswith(" ms")
        assert (await captions.figure("duration")).startswith("0:0")
        assert await captions.figure("used-model") == "fun-asr-realtime"


async def test_a_wav_file_is_recognised_word_for_word() -> None:
    async with open_gateway(**WEB) as (gateway, _), opened(gateway) as captions:
        await captions.recognize(RECORDINGS / "mother.wav")
        assert await captions.finals() == ["please call my mother tomorrow morning"]


@pytest.fixture
def speaker(tmp_path: Path, mother: bytes) -> Path:
    """A microphone in front of which somebody says the same again and again, with pauses."""
    return write_wav(tmp_path / "speaker.wav", silence(0.5) + mother + silence(1.5))


async def test_the_microphone_is_recognised_by_the_embedded_model(speaker: Path) -> None:
    async with open_gateway(**WEB) as (gateway, _), opened(gateway, microphone=speaker) as captions:
        for name in ("echo", "noise"):
            await captions.page.uncheck(f"#{name}")
        await captions.press_microphone()
        await captions.shows("please call my mother tomorrow morning")


async def test_a_dropped_file_in_another_format_is_decoded_by_the_browser() -> None:
    async with open_gateway(**WEB) as (gateway, _), opened(gateway) as captions:
        await drop(captions, "boy.ogg", coded("opus"))
        await captions.state("done")
        assert await captions.finals() == ["the boy was there when the sun rose"]


async def drop(captions: Captions, name: str, content: bytes) -> None:
    transfer = await captions.page.evaluate_handle(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(bytes)], name));
            return transfer;
        }""",
        [name, list(content)],
    )
    await captions.page.dispatch_event("#captions", "drop", {"dataTransfer": transfer})


async def test_a_file_without_sound_is_explained() -> None:
    async with page_of() as captions:
        await captions.page.set_input_files(
            "#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no sound"}
        )
        await captions.shows("The browser cannot decode notes.txt.")


async def test_the_captions_are_saved_as_text_subrip_and_webvtt() -> None:
    async with page_of() as captions:
        await captions.press_microphone()
        await captions.shows("Good morning.")
        await captions.press_microphone()
        await captions.state("done")
        finals = await captions.finals()
        assert (await captions.saved("txt")).splitlines() == finals
        assert (await captions.saved("srt")).startswith("1\n00:00:00,100 --> 00:00:00,900\nGood morning.\n")
        assert (await captions.saved("vtt")).startswith("WEBVTT\n\n00:00:00.100 --> 00:00:00.900\nGood morning.\n")


async def test_the_captions_are_copied_and_cleared() -> None:
    async with page_of(permissions=["clipboard-read", "clipboard-write", "microphone"]) as captions:
        await captions.press_microphone()
        await captions.shows("Good morning.")
        await captions.press_microphone()
        await captions.state("done")
        finals = await captions.finals()
        await captions.page.click("#copy")
        await captions.shows("Copied")
        assert (await captions.page.evaluate("navigator.clipboard.readText()")).splitlines() == finals
        await captions.page.click("#clear")
        assert await captions.finals() == []


async def test_a_second_recording_goes_on_behind_the_first() -> None:
    async with page_of() as captions:
        for _ in range(2):
            await captions.press_microphone()
            await captions.page.locator("#interim", has_text="how are").wait_for()
            await captions.press_microphone()
            await captions.state("done")
        assert await captions.finals() == ["Good morning.", "how are"] * 2
        times = [line for line in (await captions.saved("srt")).splitlines() if "-->" in line]
        assert times == sorted(times)


async def test_options_reach_the_gateway() -> None:
    async with page_of() as captions:
        await captions.page.fill("#hotwords", "Kestrel\n张三, 李四")
        await captions.page.fill("#model", "paraformer-realtime-v2")
        await captions.page.select_option("#language", "zh")
        await captions.press_microphone()
        await captions.state("listening")
        config = json.loads(captions.sent[0])
        assert config["adaptation"] == {"hotwords": [{"text": "Kestrel"}, {"text": "张三"}, {"text": "李四"}]}
        assert (config["model"], config["languageCodes"]) == ("paraformer-realtime-v2", ["zh"])
        assert await captions.figure("used-model") == "paraformer-realtime-v2"


async def test_the_gateways_own_sentence_explains_an_error() -> None:
    async with page_of() as captions:
        await captions.page.fill("#model", "nothing")
        await captions.press_microphone()
        await captions.page.get_by_role("alert").filter(has_text="INVALID_ARGUMENT").wait_for()


async def test_a_gateway_with_keys_asks_for_one_and_it_is_in_no_address(keys_file: Path) -> None:
    async with open_gateway(api_keys_file=str(keys_file), **WEB) as (gateway, _), opened(gateway) as captions:
        await captions.press_microphone()
        await captions.shows("This gateway wants a key. Enter it under Settings.")
        await captions.page.fill("#key", KEY)
        await captions.recognize(RECORDINGS / "mother.wav")
        assert await captions.finals() == ["please call my mother tomorrow morning"]
        assert [url for url in captions.urls if KEY in url] == []
        assert KEY not in await captions.page.evaluate("JSON.stringify([localStorage, sessionStorage])")


async def test_the_keyboard_is_enough() -> None:
    async with page_of() as captions:
        keyboard = captions.page.keyboard
        await keyboard.press("Space")
        await captions.shows("how are")
        await keyboard.press("Escape")
        await captions.state("done")
        await captions.page.focus("#copy")
        for name in ("TXT", "SRT", "VTT"):
            await keyboard.press("Tab")
            assert await captions.page.evaluate("document.activeElement.textContent") == name


async def test_a_chinese_browser_gets_chinese_and_a_switch_that_is_remembered() -> None:
    async with page_of(locale="zh-CN") as captions:
        await captions.shows("请开始说话。")
        assert await captions.page.get_attribute("html", "lang") == "zh-CN"
        await captions.page.click("#locale")
        await captions.shows("Say something.")
        await captions.page.reload()
        await captions.shows("Say something.")


async def test_the_colours_follow_the_system_until_the_switch_is_used() -> None:
    async with page_of(color_scheme="dark") as captions:
        background = "getComputedStyle(document.body).backgroundColor"
        assert await captions.page.evaluate(background) == "rgb(16, 19, 18)"
        await captions.page.click("#theme")
        await captions.page.reload()
        assert await captions.page.evaluate(background) == "rgb(245, 242, 236)"


NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, textarea, [role]")]
    .filter((node) => node.checkVisibility() && !node.ariaLabel && !node.labels?.length && !node.textContent.trim())
    .map((node) => node.outerHTML)"""

FAINT = """() => {
    const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" ? behind(node.parentElement) : colour;
    };
    const contrast = (node) => {
        const [dark, light] = [getComputedStyle(node).color, behind(node)].map(luminance).sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    return [...document.querySelectorAll("body *")]
        .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
        .filter((node) => node.checkVisibility({ opacityProperty: true }) && contrast(node) < 4.5)
        .map((node) => `${node.outerHTML}: ${contrast(node)}`);
}"""


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_everything_has_a_name_and_text_has_contrast(colours: str) -> None:
    async with page_of(color_scheme=colours, reduced_motion="reduce") as captions:
        await captions.press_microphone()
        await captions.shows("how are")
        assert await captions.page.evaluate(NAMELESS) == []
        assert await captions.page.evaluate(FAINT) == []


async def test_a_narrow_screen_shows_everything_without_scrolling_sideways() -> None:
    async with page_of(viewport={"width": 320, "height": 640}) as captions:
        assert await captions.page.evaluate("document.documentElement.scrollWidth") == 320
        await captions.page.click("#open-settings")
        await captions.page.locator("#key").wait_for(state="visible")
        await captions.page.keyboard.press("Escape")
        await captions.page.locator("#key").wait_for(state="hidden")
