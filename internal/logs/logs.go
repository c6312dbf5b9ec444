package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// Lines of one text: so many in a time, then none of it until the time is over.
const (
	sampleTime  = 10 * time.Second
	sampleFirst = 10
)

// Log is a logger and what is behind it.
type Log struct {
	*zap.Logger
	Level  zap.AtomicLevel
	Recent *Ring
	queue  *queue
}

// New makes a log that goes to w. journal: each line says how urgent it is, as journald reads it.
func New(w io.Writer, journal bool) *Log {
	l := &Log{Level: zap.NewAtomicLevel(), Recent: new(Ring), queue: newQueue(w)}
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		MessageKey: "m", EncodeDuration: zapcore.StringDurationEncoder, ConsoleSeparator: " ",
	})
	c := zapcore.NewTee(l.Recent, &core{LevelEnabler: l.Level, encoder: encoder, out: l.queue, journal: journal})
	l.Logger = zap.New(zapcore.NewSamplerWithOptions(c, sampleTime, sampleFirst, 0))
	return l
}

// Close waits a moment for what is still to be written.
func (l *Log) Close() { l.queue.close() }

// Journal reports whether the journal reads a file: the standard error output of a service of systemd.
func Journal(f *os.File) bool {
	var st unix.Stat_t
	var device, inode uint64
	if n, _ := fmt.Sscanf(os.Getenv("JOURNAL_STREAM"), "%d:%d", &device, &inode); n != 2 || unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	return st.Dev == device && st.Ino == inode
}

// core writes lines.
type core struct {
	zapcore.LevelEnabler
	encoder zapcore.Encoder
	out     *queue
	journal bool
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.encoder = c.encoder.Clone()
	for _, f := range fields {
		f.AddTo(clone.encoder)
	}
	return &clone
}

func (c *core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	line, err := c.encoder.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	prefix := []byte(c.prefix(e))
	text := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	// What has several lines, such as the stacks of a bug, is as urgent in each.
	c.out.put(slices.Concat(prefix, bytes.ReplaceAll(text, []byte("\n"), append([]byte("\n"), prefix...)), []byte("\n")))
	line.Free()
	return nil
}

func (c *core) Sync() error { return nil }

// prefix says how urgent a line is: to the journal, which has the time itself, in the numbers of syslog(3).
func (c *core) prefix(e zapcore.Entry) string {
	if c.journal {
		switch {
		case e.Level >= zapcore.ErrorLevel:
			return "<3>"
		case e.Level == zapcore.WarnLevel:
			return "<4>"
		case e.Level == zapcore.InfoLevel:
			return "<6>"
		}
		return "<7>"
	}
	prefix := e.Time.Format(time.RFC3339) + " zswapd: "
	if e.Level != zapcore.InfoLevel {
		prefix += e.Level.String() + ": "
	}
	return prefix
}
