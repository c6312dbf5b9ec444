package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/sys/unix"
)

// What asking a daemon can end in, beside an *Error.
var (
	// ErrNoDaemon: nobody listens to the socket.
	ErrNoDaemon = errors.New("no zswapd is running")
	// ErrDenied: this user may not open the socket, or may only read.
	ErrDenied = errors.New("not permitted")
)

// Error is a daemon's answer that is no success.
type Error struct {
	Code    int // of HTTP
	Message string
}

// Error is what the daemon said.
func (e *Error) Error() string { return e.Message }

// Is makes the sentinels out of the code.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrDenied:
		return e.Code == http.StatusForbidden
	case ErrInvalid:
		return e.Code == http.StatusBadRequest
	case ErrRefused:
		return e.Code == http.StatusConflict
	case ErrUnsupported:
		return e.Code == http.StatusNotImplemented
	}
	return false
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// Client asks the daemon behind a socket. Its methods may be called concurrently; each gives up when its ctx ends.
type Client struct {
	path string
	http http.Client
}

// NewClient makes a client for the socket at path; "" means DefaultPath.
func NewClient(path string) *Client {
	if path == "" {
		path = DefaultPath
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path, http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1, DisableCompression: true}}}
}

// Close gives up its connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for what a person wants to know.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](c, ctx, http.MethodGet, "/v1/status", nil)
}

// Info asks what the daemon is.
func (c *Client) Info(ctx context.Context) (Info, error) {
	return get[Info](c, ctx, http.MethodGet, "/v1/info", nil)
}

// Stats asks for all numbers.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	return get[Stats](c, ctx, http.MethodGet, "/v1/stats", nil)
}

// Settings asks for the settings in force.
func (c *Client) Settings(ctx context.Context) ([]Setting, error) {
	var a settingsAnswer
	err := c.call(ctx, http.MethodGet, "/v1/settings", nil, &a)
	return a.Settings, err
}

// Events asks for the last events.
func (c *Client) Events(ctx context.Context) ([]Event, error) {
	var a eventsAnswer
	err := c.call(ctx, http.MethodGet, "/v1/events", nil, &a)
	return a.Events, err
}

// Health asks whether all is well. That it is not is no error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return get[Health](c, ctx, http.MethodGet, "/v1/health", nil)
}

// Compact is Daemon.Compact; those below are likewise.
func (c *Client) Compact(ctx context.Context) (Work, error) {
	return get[Work](c, ctx, http.MethodPost, "/v1/compact", nil)
}

// Age makes all pages older.
func (c *Client) Age(ctx context.Context) (Work, error) {
	return get[Work](c, ctx, http.MethodPost, "/v1/age", nil)
}

// WriteBack writes the coldest pages to the backing file; bytes 0: all that is idle.
func (c *Client) WriteBack(ctx context.Context, bytes int64) (Work, error) {
	return get[Work](c, ctx, http.MethodPost, "/v1/writeback", writeBackRequest{bytes})
}

// Drain begins to turn swap off, and returns the daemon's state.
func (c *Client) Drain(ctx context.Context, force bool) (state string, err error) {
	var a begunAnswer
	err = c.call(ctx, http.MethodPost, "/v1/drain", forceRequest{force}, &a)
	return a.State, err
}

// Stop begins to end the daemon, and returns its state.
func (c *Client) Stop(ctx context.Context, force bool) (state string, err error) {
	var a begunAnswer
	err = c.call(ctx, http.MethodPost, "/v1/stop", forceRequest{force}, &a)
	return a.State, err
}

// Upgrade begins to hand over to another program, or to the same anew: "".
func (c *Client) Upgrade(ctx context.Context, program string) error {
	return c.call(ctx, http.MethodPost, "/v1/upgrade", upgradeRequest{program}, &begunAnswer{})
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) ([]Change, error) {
	var a changesAnswer
	err := c.call(ctx, http.MethodPost, "/v1/reload", nil, &a)
	return a.Changes, err
}

// Set changes a setting.
func (c *Client) Set(ctx context.Context, key, value string) (Change, error) {
	return get[Change](c, ctx, http.MethodPut, "/v1/settings/"+url.PathEscape(key), setRequest{value})
}

// get is call, for an answer of one type.
func get[T any](c *Client, ctx context.Context, method, path string, body any) (v T, err error) {
	err = c.call(ctx, method, path, body, &v)
	return v, err
}

// call sends one request, with body in JSON unless it is nil, and reads the answer into v.
func (c *Client) call(ctx context.Context, method, path string, body, v any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://zswapd"+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	a, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer a.Body.Close()
	text, err = io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	if _, health := v.(*Health); a.StatusCode != http.StatusOK && !(health && a.StatusCode == http.StatusServiceUnavailable) {
		e := errorAnswer{}
		if json.Unmarshal(text, &e) != nil || e.Error == "" {
			e.Error = "the daemon answers " + a.Status
		}
		return &Error{a.StatusCode, e.Error}
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	return nil
}

// unreachable says in words why there is no connection.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: there is no %s", ErrNoDaemon, c.path)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens to %s any more", ErrNoDaemon, c.path)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %s is for root and, if there is one, the group of the socket", ErrDenied, c.path)
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		strings.Contains(err.Error(), "server closed idle connection"):
		return fmt.Errorf("too many connections to %s, or the daemon has just ended", c.path)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon does not answer on %s: %w", c.path, context.DeadlineExceeded)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", c.path, err)
}
