package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/report"
)

// blocks fill a cell from below, in eighths.
var blocks = []rune(" ▁▂▃▄▅▆▇█")

// columns draws values as columns, one a cell, in rows lines of width cells; the newest is on the right, and most is the
// height of all rows. A value that is not 0 is seen.
func columns(values []float64, width, rows int, most float64) []string {
	lines := make([]string, rows)
	for r := range rows {
		var b strings.Builder
		b.WriteString(strings.Repeat(" ", max(0, width-len(values))))
		for _, v := range values[max(0, len(values)-width):] {
			b.WriteRune(blocks[eighths(v, most, rows, rows-1-r)])
		}
		lines[r] = b.String()
	}
	return lines
}

// eighths says how much of the cell in a row, counted from below, a value fills.
func eighths(v, most float64, rows, row int) int {
	if v <= 0 || most <= 0 {
		return 0
	}
	full := max(1, int(min(v/most, 1)*float64(8*rows)+0.5))
	return min(8, max(0, full-8*row))
}

// bar draws a share, 0 to 1, as a bar of width cells.
func bar(share float64, width int) string {
	share = min(max(share, 0), 1)
	if share != share { // of nothing
		share = 0
	}
	full := int(share*float64(width) + 0.5)
	if share > 0 && full == 0 && width > 0 {
		full = 1
	}
	return strings.Repeat("█", full) + strings.Repeat("░", max(0, width-full))
}

func largest(values ...float64) (most float64) {
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

// count writes a number in few characters: 12.3k.
func count(v float64) string {
	switch {
	case v < 9.95 && v != float64(int(v)):
		return fmt.Sprintf("%.1f", v)
	case v < 9999.5:
		return fmt.Sprintf("%.0f", v)
	case v < 999_950:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return fmt.Sprintf("%.1fM", v/1e6)
}

// span writes seconds: 18.4 µs.
func span(seconds float64) string {
	if seconds == 0 {
		return "–"
	}
	return report.Duration(int64(seconds * float64(time.Second)))
}
