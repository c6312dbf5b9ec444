package chart

import (
	"strings"
	"unicode"
)

const (
	textSize  = 12 // CSS pixels, as in page.html
	lineStep  = 17 // from one line of text to the next
	charWidth = 0.56
)

// clean makes a name fit to be shown: valid, of one line, and without what would reorder the text around it.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r), r == 0xfffe, r == 0xffff:
			return '\ufffd'
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// textWidth estimates, rather too wide, what a text takes in CSS pixels: nobody knows the reader's font.
func textWidth(s string) float64 {
	w := 0.0
	for _, r := range s {
		w += runeWidth(r)
	}
	return w * textSize
}

func runeWidth(r rune) float64 {
	switch {
	case strings.ContainsRune("iljtf.,:;|!'()[] ", r):
		return 0.34
	case strings.ContainsRune("mwMW%@", r):
		return 0.95
	case r >= 'A' && r <= 'Z':
		return 0.7
	case unicode.Is(unicode.Mn, r):
		return 0
	case r >= 0x1100:
		return 1.05
	}
	return charWidth + 0.05
}

// fit cuts a text in its middle so that it takes at most so many pixels: names differ at both ends.
func fit(s string, width float64) string {
	if textWidth(s) <= width {
		return s
	}
	r := []rune(s)
	for n := len(r) - 1; n > 1; n-- {
		if cut := string(r[:(n+1)/2]) + "…" + string(r[len(r)-n/2:]); textWidth(cut) <= width {
			return cut
		}
	}
	return "…"
}
