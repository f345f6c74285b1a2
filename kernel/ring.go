package kernel

import (
	"errors"
	"fmt"
	"slices"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// ring walks a doubly linked list of the kernel's, a LIST_ENTRY in each of its
// members (ntdef.h: Flink, Blink).
type ring struct {
	memory mem.Reader
	head   mem.VA
	width  int // of a pointer, bytes
	limit  int // entries
	seen   map[mem.VA]bool
}

var errLimit = errors.New("the list has more entries than are followed")

// ring lists the addresses of the LIST_ENTRYs behind head, at most limit of them.
// Where the list is torn, those follow that a walk backward from the head still
// reaches, in the order of the list; the error names where it is torn.
func (m *Machine) ring(memory mem.Reader, head mem.VA, limit int) ([]mem.VA, error) {
	r := ring{memory: memory, head: head, width: m.Arch.PointerSize(), limit: limit, seen: map[mem.VA]bool{head: true}}
	list, err := r.follow(0)
	if err == nil || errors.Is(err, errLimit) {
		return list, err
	}
	back, _ := r.follow(r.width) // ends where the list is torn from its other side
	slices.Reverse(back)
	return append(list, back...), err
}

// follow goes along one of the two links. An entry counts when it can be read and
// its other link leads back.
func (r *ring) follow(link int) ([]mem.VA, error) {
	var list []mem.VA
	at := r.head
	links, err := r.links(at)
	for err == nil {
		next := r.link(links, link)
		if next == r.head {
			return list, nil
		}
		if err = r.check(next); err != nil {
			break
		}
		if links, err = r.links(next); err != nil {
			break
		}
		if back := r.link(links, r.width-link); back != at {
			err = fmt.Errorf("its other link leads to %v, not back", back)
			break
		}
		r.seen[next] = true
		list, at = append(list, next), next
	}
	return list, fmt.Errorf("entry %d, behind %v: %w", len(list), at, err)
}

// check refuses an address that cannot be the next entry.
func (r *ring) check(next mem.VA) error {
	switch {
	case next == 0 || next%mem.VA(r.width) != 0:
		return fmt.Errorf("%v is no entry", next)
	case r.seen[next]:
		return fmt.Errorf("the list comes back to %v", next)
	case len(r.seen) > r.limit:
		return fmt.Errorf("%d: %w", r.limit, errLimit)
	}
	return nil
}

func (r *ring) links(at mem.VA) ([]byte, error) { return mem.Read(r.memory, at, 2*r.width) }

func (r *ring) link(links []byte, at int) mem.VA {
	if r.width == 4 {
		return mem.VA(le.U32(links, at))
	}
	return mem.VA(le.U64(links, at))
}
