package symbols

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// NewClient makes a client for symbol servers: proxies from the environment,
// and bounded times for what comes before the first byte. How long an answer
// may take is up to Options.Wait.
func NewClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   downloadsAtOnce,
	}}
}

// server is a symbol server. The first question to it tells whether it can be
// reached and whether its store has two tiers; all who need it wait for that.
type server struct {
	base  *url.URL
	shown string

	answered chan struct{} // closed once the first question is over
	twoTier  bool          // valid then, as are down and took

	mu       sync.Mutex
	down     error // why it cannot be reached
	took     time.Duration
	failures int // searches in a row that it did not answer
	stats    ServerState
}

// ServerState is what came of a server.
type ServerState struct {
	URL      string        // without user, password and query
	Asked    bool          // it was needed
	Err      error         // why it cannot be reached; nil where it can, or was not needed
	Took     time.Duration // until it answered first, or was given up
	Requests int
	Files    int   // that came from it
	Bytes    int64 // of bodies
}

// serverStore is a server with the folder that its files go to.
type serverStore struct {
	*server
	sink *treeStore
}

// maxFailures is how many searches in a row a server may leave without an
// answer until it is given up.
const maxFailures = 2

func (s *serverStore) find(ctx context.Context, f *Finder, q Request) (located, error) {
	if f.opts.Offline {
		return located{}, ErrOffline
	}
	misses := f.misses(s.sink)
	if misses.has(s.shown, q) {
		return located{}, errNotHere
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return located{}, ctx.Err()
	}
	if err := s.reach(ctx, f); err != nil {
		return located{}, err
	}
	at, err := s.search(ctx, f, q)
	s.judge(ctx, err)
	if errors.Is(err, errNotHere) {
		misses.add(s.shown, q)
	}
	return at, err
}

// judge counts searches without an answer.
func (s *server) judge(ctx context.Context, err error) {
	var gone *unreachableError
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if !errors.As(err, &gone) {
		s.failures = 0
		return
	}
	if s.failures++; s.failures >= maxFailures {
		s.down = gone.err
	}
}

// reach waits until it is known whether the server can be reached. The first
// caller makes the Finder ask all servers at once, so that a machine without a
// network waits once.
func (s *server) reach(ctx context.Context, f *Finder) error {
	f.mu.Lock()
	first := !f.probed
	f.probed = true
	f.mu.Unlock()
	if first {
		for _, other := range f.servers {
			go other.probe(context.WithoutCancel(ctx), f)
		}
	}
	select {
	case <-s.answered:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return &unreachableError{s.shown, s.down}
	}
	return nil
}

var errNoAnswer = errors.New("no answer")

// probe asks for index2.txt, the mark of a store with two tiers. Any answer
// will do.
func (s *server) probe(ctx context.Context, f *Finder) {
	defer close(s.answered)
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, f.opts.Wait, fmt.Errorf("%w within %v", errNoAnswer, f.opts.Wait))
	defer cancel()
	resp, err := s.get(ctx, f, "index2.txt", nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Asked = true
	s.took = time.Since(start)
	if err != nil {
		s.down = plainNetError(ctx, err)
		return
	}
	defer resp.Body.Close()
	drain(resp)
	// Servers that answer everything with a page are not meant.
	s.twoTier = resp.StatusCode == http.StatusOK && resp.ContentLength >= 0 && resp.ContentLength <= 64 &&
		!strings.Contains(resp.Header.Get("Content-Type"), "html")
}

// plainNetError drops the address from an error, which may hold secrets, and
// names the timeout.
func plainNetError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// get sends one request below the server's address.
func (s *server) get(ctx context.Context, f *Finder, path string, header http.Header) (*http.Response, error) {
	u := s.base.JoinPath(strings.Split(path, "/")...)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "bugcheck")
	if token := f.opts.Tokens[s.base.Hostname()]; token != "" && s.base.User == nil {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	s.mu.Lock()
	s.stats.Requests++
	s.mu.Unlock()
	return f.opts.Client.Do(req)
}

// search asks for the file, for the cabinet that it may be packed in, and for a
// pointer to it.
func (s *serverStore) search(ctx context.Context, f *Finder, q Request) (located, error) {
	dir := url.PathEscape(q.Name) + "/" + q.Key
	if s.twoTier {
		dir = url.PathEscape(firstTier(q.Name)) + "/" + dir
	}
	sink := s.sink
	if sink.usable() != nil {
		sink = f.defaultCache()
	}
	for _, name := range []string{q.Name, packedName(q.Name)} {
		at, err := s.file(ctx, f, q, dir+"/"+url.PathEscape(name), sink)
		if err == nil || !errors.Is(err, errNotHere) {
			return at, err
		}
	}
	return s.pointer(ctx, f, q, dir+"/file.ptr", sink)
}

// file downloads a file beside the store, unpacks it, and checks its identity.
func (s *serverStore) file(ctx context.Context, f *Finder, q Request, path string, sink *treeStore) (located, error) {
	where := s.shown + "/" + path
	d := download{server: s.server, f: f, path: path, name: q.Name, limit: maxFile}
	if err := d.to(ctx, sink); err != nil {
		return located{}, err
	}
	at := located{path: d.temp, temp: true, where: where}
	err := unpackDownload(q, &at, sink)
	if err == nil {
		err = verifyFile(q, at.path, where)
	}
	if err != nil {
		_ = os.Remove(at.path)
		return located{}, err
	}
	s.mu.Lock()
	s.stats.Files++
	s.mu.Unlock()
	return at, nil
}

func verifyFile(q Request, path, where string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return verify(q, file, info.Size(), where)
}

// unpackDownload puts the content of a cabinet in its place.
func unpackDownload(q Request, at *located, sink *treeStore) error {
	in, err := os.Open(at.path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil || !isCabinet(in) {
		return err
	}
	out, err := sink.temp()
	if err != nil {
		return err
	}
	err = unpackCabinet(out, q, in, info.Size(), maxFile)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	in.Close() // Windows removes no open file
	_ = os.Remove(at.path)
	at.path = out.Name()
	if err != nil {
		return fmt.Errorf("%s: %w", at.where, err)
	}
	return nil
}

// pointer follows a file.ptr of a server. Only to a place on a server: a path
// would be one of this machine, or hand its user's password to another.
func (s *serverStore) pointer(ctx context.Context, f *Finder, q Request, path string, sink *treeStore) (located, error) {
	d := download{server: s.server, f: f, path: path, name: q.Name, limit: maxPointer}
	if err := d.to(ctx, sink); err != nil {
		return located{}, err
	}
	defer func() { _ = os.Remove(d.temp) }()
	text, err := os.Open(d.temp)
	if err != nil {
		return located{}, err
	}
	defer text.Close()
	where := s.shown + "/" + path
	target, err := readPointer(text)
	if err != nil {
		return located{}, fmt.Errorf("%s: %w", where, err)
	}
	u, err := s.base.Parse(target)
	if err != nil || !isURL(target) || u.Host == "" {
		return located{}, fmt.Errorf("%s: it points to %q, which is on no server", where, target)
	}
	other := &serverStore{server: &server{base: u, shown: shownURL(u)}, sink: sink}
	return other.file(ctx, f, q, "", sink)
}
