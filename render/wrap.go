package render

import (
	"strings"

	"golang.org/x/text/width"
)

// cells is how many columns of a terminal s takes: East Asian wide characters
// take two.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// pad fills s up with spaces to n columns.
func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-cells(s))) }

// wrap breaks s into lines of at most limit columns: at spaces, and between
// wide characters where Japanese allows it (see mayBreak). A longer word
// stands on a line of its own.
func wrap(s string, limit int) []string {
	var lines []string
	line := ""
	for _, word := range words(s) {
		if line != "" && cells(line)+cells(strings.TrimRight(word, " ")) > limit {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
	}
	if line = strings.TrimRight(line, " "); line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// words splits s where a line may break; each word keeps the spaces behind it.
func words(s string) []string {
	var list []string
	start := 0
	runes := []rune(s)
	for i := 1; i < len(runes); i++ {
		if mayBreak(runes[i-1], runes[i]) {
			list = append(list, string(runes[start:i]))
			start = i
		}
	}
	return append(list, string(runes[start:]))
}

// Kinsoku: what begins no line (closing marks, small kana, marks of length and
// repetition, stops), and what ends none (opening marks).
const (
	noLineStart = "、。，．・：；？！,.:;?!%‰°" + "）」』】〉》〕］｝)]}”’" + "ー～…‥゠–々〻ヽヾゝゞ" +
		"ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
	noLineEnd = "（「『【〈《〔［｛([{“‘"
)

// mayBreak reports whether a line may end behind a and the next begin with b.
func mayBreak(a, b rune) bool {
	switch {
	case a == ' ':
		return b != ' '
	case strings.ContainsRune(noLineStart, b), strings.ContainsRune(noLineEnd, a):
		return false
	}
	return runeCells(a) == 2 && b != ' ' || runeCells(b) == 2 && a != ' '
}
