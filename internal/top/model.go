package top

import (
	"context"
	"errors"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/zswapd/zswapd/internal/control"
)

// Source is a daemon as top sees it; *control.Client is one.
type Source interface {
	Info(ctx context.Context) (control.Info, error)
	Stats(ctx context.Context) (control.Stats, error)
	Compact(ctx context.Context) (control.Work, error)
	Age(ctx context.Context) (control.Work, error)
	WriteBack(ctx context.Context, bytes int64) (control.Work, error)
}

// Times that the daemon may take.
const (
	lookLimit = 5 * time.Second
	workLimit = 90 * time.Second
)

// writeBackBytes are written back with one key.
const writeBackBytes = 64 << 20

// Model is the state of the screen. It is a tea.Model.
type Model struct {
	source        Source
	every         time.Duration
	width, height int

	last    look // zero: nobody has answered yet
	history history
	failed  error // of the last look
	paused  bool
	working string // what was asked for and is not done yet
	message string // what became of the last thing that was asked for
}

// New makes a model that looks so often.
func New(s Source, every time.Duration) Model {
	return Model{source: s, every: every, width: 80, height: 24}
}

// Messages.
type (
	tick   struct{}
	looked struct {
		look look
		err  error
	}
	worked struct{ text string }
)

// Init looks for the first time.
func (m Model) Init() tea.Cmd { return m.look }

func (m Model) look() tea.Msg {
	ctx, stop := context.WithTimeout(context.Background(), lookLimit)
	defer stop()
	l := look{}
	var err error
	if l.info, err = m.source.Info(ctx); err == nil {
		l.stats, err = m.source.Stats(ctx)
	}
	l.at = time.Now()
	return looked{l, err}
}

// Update takes one message.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tick:
		if m.paused {
			return m, m.wait()
		}
		return m, m.look
	case looked:
		return m.take(msg), m.wait()
	case worked:
		m.working, m.message = "", msg.text
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	return m, nil
}

func (m Model) wait() tea.Cmd { return tea.Tick(m.every, func(time.Time) tea.Msg { return tick{} }) }

// take takes what a look showed. One that failed changes nothing that is shown but the line that says so.
func (m Model) take(l looked) Model {
	if m.failed = l.err; l.err != nil || m.paused {
		return m
	}
	if s, ok := l.look.since(&m.last); ok {
		m.history = m.history.with(s)
	}
	m.last = l.look
	return m
}

func (m Model) key(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "q", "ctrl+c", "esc":
		return m, tea.Quit
	case "p", "space":
		m.paused = !m.paused
	case "c":
		return m.ask("compaction", "moved", "objects", m.source.Compact)
	case "a":
		return m.ask("ageing", "made older", "pages", m.source.Age)
	case "w":
		return m.ask("writeback", "wrote", "pages", func(ctx context.Context) (control.Work, error) { return m.source.WriteBack(ctx, writeBackBytes) })
	}
	return m, nil
}

// ask asks for work, one at a time.
func (m Model) ask(what, done, of string, work func(context.Context) (control.Work, error)) (tea.Model, tea.Cmd) {
	if m.working != "" {
		return m, nil
	}
	m.working, m.message = what, ""
	return m, func() tea.Msg {
		ctx, stop := context.WithTimeout(context.Background(), workLimit)
		defer stop()
		w, err := work(ctx)
		switch {
		case errors.Is(err, control.ErrDenied):
			return worked{what + ": only root may ask for that"}
		case err != nil:
			return worked{what + ": " + err.Error()}
		}
		return worked{fmt.Sprintf("%s: %s %s %s, freed %s", what, done, count(float64(w.Pages)), of, control.Size(w.FreedBytes))}
	}
}
