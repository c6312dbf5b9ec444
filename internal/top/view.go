package top

import (
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/zswapd/zswapd/internal/control"
)

// Colours are those of the terminal's own palette.
var (
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	alarm  = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red)
	calm   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	cool   = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
	warm   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
)

// View is the whole screen.
func (m Model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "zswapd top"
	return v
}

// lines are at most as many as the terminal has, and none is wider.
func (m Model) lines() []string {
	head, foot := m.head(), m.foot()
	head = head[:min(len(head), max(2, m.height-len(foot)))]
	foot = foot[:min(len(foot), max(0, m.height-len(head)))]
	all := append(head, m.graphs(m.height-len(head)-len(foot))...)
	for len(all)+len(foot) < m.height {
		all = append(all, "")
	}
	all = append(all, foot...)
	all = all[:min(len(all), max(m.height, 0))]
	for i, line := range all {
		all[i] = lipgloss.NewStyle().MaxWidth(max(m.width, 0)).Render(line)
		if m.width <= 0 {
			all[i] = ""
		}
	}
	return all
}

// head says what is, the most important first.
func (m Model) head() []string {
	l := &m.last
	if l.at.IsZero() {
		return []string{strong.Render("zswapd top"), "asking the daemon …"}
	}
	st := control.NewStatus(l.info, l.stats, l.at)
	state := calm.Render(st.State)
	if st.State != control.StateServing {
		state = alarm.Render(st.State)
	}
	title := fmt.Sprintf("%s  %s  %s  up %s", strong.Render("zswapd "+st.Version), state, place(&st.Door), control.Span(time.Duration(st.UptimeSeconds*float64(time.Second))))
	if st.Restarts > 0 {
		title += fmt.Sprintf("  restart %d", st.Restarts)
	}
	lines := []string{title, strong.Render(st.Headline()), ""}
	width := max(4, min(40, m.width-44))
	lines = append(lines,
		gauge("pool", float64(st.MemoryBytes), float64(st.LimitBytes), width, calm, st.Full),
		gauge("swap", float64(st.SwapBytes), float64(st.Door.SizeBytes), width, cool, false))
	return append(append(lines, tiers(&st, max(4, min(40, m.width-44)))...), "")
}

func place(d *control.Door) string {
	if d.Device == "" {
		return d.Kind + ", swap is off"
	}
	return d.Kind + " on " + d.Device
}

// gauge is a bar of how much of something is used.
func gauge(name string, used, all float64, width int, s lipgloss.Style, full bool) string {
	share := 0.0
	if all > 0 {
		share = used / all
	}
	if share > 0.9 || full {
		s = alarm
	}
	text := fmt.Sprintf("%-5s %s %3.0f %% · %s of %s", name, s.Render(bar(share, width)), 100*share, control.Size(int64(used)), control.Size(int64(all)))
	if full {
		text += alarm.Render(" FULL")
	}
	return text
}

// tiers is one bar of where the pages are, and what its parts mean.
func tiers(st *control.Status, width int) []string {
	styles := []lipgloss.Style{calm, cool, warm}
	type part struct {
		name  string
		pages int64
		style lipgloss.Style
	}
	parts := []part{{"same-filled", st.SameFilledPages, faint}}
	for i, t := range st.Tiers {
		parts = append(parts, part{t.Name + " " + t.Codec, t.Pages, styles[i%len(styles)]})
	}
	if st.Backing != nil {
		parts = append(parts, part{"disk", st.Backing.Pages, alarm})
	}
	var all, seen int64
	for _, p := range parts {
		all += p.pages
	}
	var line, legend strings.Builder
	drawn := 0
	for _, p := range parts {
		seen += p.pages
		if end := int(float64(seen) / float64(max(all, 1)) * float64(width)); end > drawn {
			line.WriteString(p.style.Render(strings.Repeat("█", end-drawn)))
			drawn = end
		}
		legend.WriteString(p.style.Render("■") + " " + p.name + " " + count(float64(p.pages)) + "  ")
	}
	line.WriteString(strings.Repeat("░", width-drawn))
	return []string{"pages " + line.String() + " " + count(float64(all)), "      " + legend.String()}
}

// chart is one graph.
type chart struct {
	title string
	of    func(*sample) float64
	text  func(float64) string
	style lipgloss.Style
}

var charts = []chart{
	{"ratio", func(s *sample) float64 { return s.ratio }, func(v float64) string { return fmt.Sprintf("%.2f", v) }, calm},
	{"memory", func(s *sample) float64 { return s.memory }, func(v float64) string { return control.Size(int64(v)) }, calm},
	{"pages in /s", func(s *sample) float64 { return s.in }, count, cool},
	{"pages out /s", func(s *sample) float64 { return s.out }, count, cool},
	{"a fault, 99 %", func(s *sample) float64 { return s.slow }, span, warm},
	{"a fault, median", func(s *sample) float64 { return s.median }, span, warm},
	{"compaction, objects /s", func(s *sample) float64 { return s.moved }, count, faint},
	{"compaction pause, 99 %", func(s *sample) float64 { return s.pause }, span, faint},
	{"CPU, % of one", func(s *sample) float64 { return s.cpu }, func(v float64) string { return fmt.Sprintf("%.1f", 100*v) }, faint},
	{"recompressed /s", func(s *sample) float64 { return s.recompressed }, count, faint},
	{"to disk /s", func(s *sample) float64 { return s.disk }, count, faint},
	{"refused /s", func(s *sample) float64 { return s.refused }, count, alarm},
}

// Sizes of graphs, in cells.
const (
	chartWidth = 36
	chartRows  = 2
)

// graphs fills so many lines with as many graphs as fit, in columns.
func (m Model) graphs(height int) (lines []string) {
	across := max(1, min(3, m.width/chartWidth))
	down := min(height/(chartRows+1), (len(charts)+across-1)/across)
	width := m.width/across - 2
	if down <= 0 || width <= 0 || len(m.history) == 0 {
		return nil
	}
	rows := min(height/down-1, 8)
	for row := range down {
		var cells []string
		for _, c := range charts[min(row*across, len(charts)):min((row+1)*across, len(charts))] {
			cells = append(cells, m.chart(c, width, rows), "  ")
		}
		lines = append(lines, strings.Split(lipgloss.JoinHorizontal(lipgloss.Top, cells...), "\n")...)
	}
	return lines
}

// chart draws one graph, rows lines under its title.
func (m Model) chart(c chart, width, rows int) string {
	values := m.history.values(width, c.of)
	now, most := values[len(values)-1], largest(values...)
	title := c.title + " " + strong.Render(c.text(now))
	if scale := faint.Render("max " + c.text(most)); lipgloss.Width(title)+lipgloss.Width(scale) < width {
		title += strings.Repeat(" ", width-lipgloss.Width(title)-lipgloss.Width(scale)) + scale
	}
	lines := []string{lipgloss.NewStyle().MaxWidth(width).Render(title)}
	for _, line := range columns(values, width, rows, most) {
		lines = append(lines, c.style.Render(line))
	}
	return lipgloss.NewStyle().Width(width).Render(strings.Join(lines, "\n"))
}

// foot is what is wrong, what was done last, and the keys.
func (m Model) foot() []string {
	said := m.message
	switch problems := m.last.info.Problems; {
	case m.failed != nil && errors.Is(m.failed, control.ErrNoDaemon):
		said = alarm.Render("no zswapd is running") + "; still looking for one"
	case m.failed != nil:
		said = alarm.Render(m.failed.Error())
	case m.working != "":
		said = m.working + " …"
	case m.message != "":
	case len(problems) > 0:
		said = alarm.Render(problems[0])
	case refused(&m.last.stats) > 0:
		said = refusals(&m.last)
	}
	keys := "q quit  p pause  c compact  a age  w write back"
	if m.paused {
		keys = alarm.Render("PAUSED") + "  " + keys
	}
	return []string{strings.ReplaceAll(said, "\n", "; "), faint.Render(keys)}
}

func refusals(l *look) string {
	var all []string
	st := control.NewStatus(l.info, l.stats, l.at)
	for _, r := range st.Refused {
		all = append(all, fmt.Sprintf("%s pages refused: %s", count(float64(r.Pages)), r.Why))
	}
	return warm.Render(strings.Join(all, "; "))
}
