package swapbench

import (
	"strings"
	"unicode/utf8"
)

// table lines cells up: the names to the left, the others to the right.
type table struct {
	names []string
	cells [][]string // as many in each line
}

func (t *table) add(name string, cells []string) {
	t.names, t.cells = append(t.names, name), append(t.cells, cells)
}

func (t *table) write(b *strings.Builder) {
	first, widths := 0, make([]int, len(t.cells[0]))
	for i, line := range t.cells {
		first = max(first, utf8.RuneCountInString(t.names[i]))
		for j, cell := range line {
			widths[j] = max(widths[j], utf8.RuneCountInString(cell))
		}
	}
	space := func(width int, s string) string { return strings.Repeat(" ", width-utf8.RuneCountInString(s)) }
	for i, line := range t.cells {
		text := "  " + t.names[i] + space(first, t.names[i])
		for j, cell := range line {
			text += "  " + space(widths[j], cell) + cell
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}
