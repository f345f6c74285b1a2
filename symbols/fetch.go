package symbols

import (
	"context"
	"sync"
)

// Result is what came of one request.
type Result struct {
	Request
	Where string // path, or pack and entry; "" if it was not found
	Size  int64  // bytes
	Err   error  // nil, *NotFoundError, *MismatchError or that of the context
}

// Fetch finds files, four at once, and leaves them in the folders of the path.
// The results are in the order of the requests.
func (f *Finder) Fetch(ctx context.Context, requests []Request) []Result {
	results := make([]Result, len(requests))
	atOnce(len(requests), func(i int) { results[i] = f.fetch(ctx, requests[i]) })
	return results
}

// atOnce calls do for 0 to n-1, four at a time.
func atOnce(n int, do func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(downloadsAtOnce, n) {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

func (f *Finder) fetch(ctx context.Context, q Request) Result {
	found, err := f.Find(ctx, q)
	if err != nil {
		return Result{Request: q, Err: err}
	}
	defer found.Close()
	return Result{Request: q, Where: found.Where, Size: found.Size}
}

// State is what is known so far.
type State struct {
	Servers []ServerState
	Found   []Result // in the order in which they were asked for
	Missing []Result // files that were not found, or only wrong ones; Err says which
}

// State tells of servers and files. It may be asked at any time.
func (f *Finder) State() State {
	var s State
	for _, server := range f.servers {
		s.Servers = append(s.Servers, server.state())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.order {
		c, ok := f.calls[q]
		if !ok || !c.over() {
			continue
		}
		r := Result{Request: q, Where: c.at.where, Size: c.at.size, Err: c.err}
		if c.err != nil {
			s.Missing = append(s.Missing, r)
		} else {
			s.Found = append(s.Found, r)
		}
	}
	return s
}

func (c *call) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (s *server) state() ServerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.stats
	state.URL, state.Err, state.Took = s.shown, s.down, s.took
	return state
}
