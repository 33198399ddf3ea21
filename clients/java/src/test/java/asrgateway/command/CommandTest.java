package asrgateway.command;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

final class CommandTest {

  @Test
  void optionsMayFollowFiles() throws Arguments.Wrong {
    var given = Arguments.parse(List.of("one.wav", "--fast", "-", "--model", "m", "--rate=8000"));
    assertEquals(List.of("one.wav", "-"), given.files());
    assertTrue(given.has("--fast"));
    assertEquals("m", given.get("--model", ""));
    assertEquals(8_000, given.rate());
  }

  @Test
  void wrongArgumentsAreRefused() {
    for (String wrong : List.of("--fast", "a --babel", "a --model", "a --fast=1", "a --rate x", "a --timeout -1")) {
      assertThrows(Arguments.Wrong.class, () -> Arguments.parse(List.of(wrong.split(" "))), wrong);
    }
  }

  @Test
  void theNewestWordsStayInALine() {
    assertEquals("short", Terminal.last("short", 9));
    assertEquals("…sentence", Terminal.last("a long sentence", 9));
    assertEquals("…三四五六", Terminal.last("一二三四五六", 9));
  }

  @Test
  void controlCharactersBecomeBlanks() {
    assertEquals("a  b [2J", Terminal.printable("a\r\nb\u001b[2J"));
  }
}
