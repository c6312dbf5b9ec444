package control

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultPath is where clients look for the socket.
const DefaultPath = "/run/zswapd/control.sock"

// What clients may take. Together this bounds the memory of all of them to a few MiB.
const (
	maxConnsRoot   = 16      // connections of root and of the daemon's own user
	maxConnsOthers = 16      // of all others together
	maxConnsOfOne  = 4       // of one other user
	maxAtOnce      = 4       // requests for which an answer is made at a time; others wait
	maxHeader      = 8 << 10 // bytes of a request's head; net/http adds 4 KiB
	maxBody        = 4 << 10 // bytes of a request's body

	headDeadline    = 2 * time.Second
	requestDeadline = 5 * time.Second  // to read a whole request
	turnDeadline    = 5 * time.Second  // to wait for one's turn
	answerDeadline  = 15 * time.Second // from the head of the request to the end of the answer
	idleDeadline    = 60 * time.Second // between two requests
	answerGrace     = time.Second      // for answers that are under way when the server is closed
	workDeadline    = 60 * time.Second // of a change; then it answers with what was done until then
)

// Options say how a Server is reached.
type Options struct {
	Path string // of the socket; "" means DefaultPath
	// Group, by name or number, may open the socket, and read. "": only its owner may.
	Group string
	// Metrics answers /metrics; nil: there are none.
	Metrics http.Handler
	// Log, if any, is told of panics in here. Nothing that a client sends makes it speak.
	Log func(msg string)
}

// Server answers clients.
type Server struct {
	http   http.Server
	addr   net.Addr
	done   chan struct{}
	remove func() error // of the socket

	end  context.CancelFunc // of the context of all requests
	gate sync.RWMutex       // held for reading while a request is answered; at the end locked for good
}

// Start takes the socket and answers for the daemon until Close. A stale socket, whose daemon is dead, is taken over; if its
// daemon answers it is ErrLive. That two daemons do this at the same moment is for a lock of the caller's to prevent.
func Start(d Daemon, o Options) (*Server, error) {
	if o.Path == "" {
		o.Path = DefaultPath
	}
	l, remove, err := listen(o.Path, o.Group)
	if err != nil {
		return nil, err
	}
	h := handler{daemon: d, metrics: o.Metrics, log: o.Log, turns: make(chan struct{}, maxAtOnce)}
	return serve(newDoorkeeper(l), h.routes(), remove), nil
}

// StartMetrics answers /metrics, and nothing else, over TCP. The address must be a loopback one: there is no encryption, and
// nobody is asked who he is.
func StartMetrics(addr string, metrics http.Handler, logTo func(msg string)) (*Server, error) {
	l, err := listenLoopback(addr)
	if err != nil {
		return nil, err
	}
	h := handler{metrics: metrics, log: logTo, turns: make(chan struct{}, maxAtOnce)}
	return serve(newDoorkeeper(l), h.metricsOnly(), func() error { return nil }), nil
}

func serve(l *doorkeeper, h http.Handler, remove func() error) *Server {
	all, end := context.WithCancel(context.Background())
	s := &Server{done: make(chan struct{}), addr: l.Addr(), remove: remove, end: end}
	s.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.gate.TryRLock() {
				defer s.gate.RUnlock()
				h.ServeHTTP(w, r)
			}
		}),
		BaseContext:       func(net.Listener) context.Context { return all },
		ReadHeaderTimeout: headDeadline,
		ReadTimeout:       requestDeadline,
		WriteTimeout:      answerDeadline,
		IdleTimeout:       idleDeadline,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // a client could fill a disk with what it says
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*guest).peer)
		},
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it ends with Close
	}()
	return s
}

// Addr returns the address that the server listens to.
func (s *Server) Addr() net.Addr { return s.addr }

// Close removes the socket, gives those who are being answered a second to get their answer, and ends. Then it waits until no
// method of the Daemon's runs for a client any more: their contexts are ended. The Daemon may call it, but not from one of
// those methods.
func (s *Server) Close() error {
	err := s.remove()
	ctx, stop := context.WithTimeout(context.Background(), answerGrace)
	defer stop()
	if s.http.Shutdown(ctx) != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.end()
	<-s.done
	s.gate.Lock()
	return err
}
