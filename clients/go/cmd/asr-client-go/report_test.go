package main

import "testing"

func TestTheNewestWordsStayInALine(t *testing.T) {
	for text, wanted := range map[string]string{"short": "short", "a long sentence": "…sentence", "一二三四五六": "…三四五六"} {
		if got := last(text, 9); got != wanted {
			t.Errorf("got %q, wanted %q", got, wanted)
		}
	}
}

func TestControlCharactersBecomeBlanks(t *testing.T) {
	if got := printable("a\r\nb\x1b[2J"); got != "a  b [2J" {
		t.Errorf("got %q", got)
	}
}

func TestOptionsMayFollowFiles(t *testing.T) {
	given, err := parse([]string{"one.wav", "--fast", "-", "--model", "m"})
	if err != nil || len(given.files) != 2 || !given.isFast || given.model != "m" {
		t.Errorf("got %+v and %v", given, err)
	}
}
