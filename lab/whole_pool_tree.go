package lab

import "sort"

// freeTree writes the tree of a heap's free chunks: _HEAP_VS_CONTEXT.FreeChunkTree, by size,
// of the nodes that lie 8 bytes into each chunk. dt nt!_HEAP_VS_CHUNK_FREE_HEADER,
// nt!_RTL_RB_TREE (Root, Min), nt!_RTL_BALANCED_NODE (Left, Right, ParentValue, whose bit 0
// makes a node red). It is built anew, as flat as it can be; only its lowest level is red.
func (s *System) freeTree(k *poolKind) {
	type chunk struct{ node, size uint64 }
	var all []chunk
	for c, list := range k.free {
		for _, at := range list {
			all = append(all, chunk{at + 8, uint64(c) * 16})
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].size < all[j].size || all[i].size == all[j].size && all[i].node < all[j].node
	})
	depth := 0
	for n := len(all); n > 0; n /= 2 {
		depth++
	}
	var lay func(nodes []chunk, parent uint64, level int) uint64
	lay = func(nodes []chunk, parent uint64, level int) uint64 {
		if len(nodes) == 0 {
			return 0
		}
		mid := len(nodes) / 2
		at := nodes[mid].node
		if level == depth && level > 1 {
			parent |= 1
		}
		var w buf
		w.put64s(0, lay(nodes[:mid], at, level+1), lay(nodes[mid+1:], at, level+1), parent)
		s.put(at, w.b)
		return at
	}
	tree := s.inHeap(k.heap, "VsContext", "_HEAP_VS_CONTEXT", "FreeChunkTree")
	s.word(tree, lay(all, 0, 1))
	least := uint64(0)
	if len(all) > 0 {
		least = all[0].node
	}
	s.word(tree+8, least)
}

// settlePool writes what is only known, or only needed, when the machine is complete: the
// entries of PoolTrackTable and the trees of free chunks.
func (s *System) settlePool() {
	for _, t := range s.pool.order {
		s.writeTag(t)
	}
	for i := range s.pool.kinds {
		if s.segmentHeap() {
			s.freeTree(&s.pool.kinds[i])
		}
	}
	s.pool.complete = true
}

// freeUnits says in a segment's descriptors that pages are free; larger blocks lie in none.
func (s *System) freeUnits(k *poolKind, va, size uint64) {
	segment := va &^ (segmentSize - 1)
	for _, x := range k.segs {
		if x == segment {
			unit := (va - segment) / 0x1000
			s.put(segment+unit*0x20, make([]byte, size/0x1000*0x20))
		}
	}
}
