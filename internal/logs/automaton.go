package logs

// automaton finds all variants of all secrets in one pass (Aho and Corasick, 1975). A state is the longest end of the
// text so far that begins a pattern. The root and its children have full tables, since most text never goes deeper;
// the rest have lists, mostly of one edge.
//
// A line break inside of base64 text does not count: the state stays, so lengths of such patterns are measured in
// bytes that are no line breaks.
type automaton struct {
	tables   [][256]int32 // of the states 0 to len(tables)-1
	key      []byte       // by which byte a state is reached
	child    []int32      // first edge
	sibling  []int32      // next edge of the same parent
	fail     []int32      // the longest proper end that is a state too
	depth    []int32
	plain    []int32 // length of the longest plain pattern that ends here, or 0
	encoded  []int32 // the same for base64
	breaks   []bool  // the state begins a base64 pattern
	wrapped  []int32 // where a line break leads that no pattern has, if not to the root
	outgoing []bool  // plain or encoded is set
}

// shortestWrap is how much of a base64 pattern must have been seen for it to go on after a line break. Less would hold
// back the end of every other line.
const shortestWrap = 4

func build(plain, encoded []string) *automaton {
	a := &automaton{}
	a.add()
	for _, p := range plain {
		s := a.insert(p, false)
		a.plain[s] = int32(len(p))
	}
	for _, p := range encoded {
		s := a.insert(p, true)
		a.encoded[s] = int32(len(p))
	}
	return a.link()
}

func (a *automaton) add() int32 {
	a.key = append(a.key, 0)
	a.child = append(a.child, 0)
	a.sibling = append(a.sibling, 0)
	a.depth = append(a.depth, 0)
	a.plain = append(a.plain, 0)
	a.encoded = append(a.encoded, 0)
	a.breaks = append(a.breaks, false)
	return int32(len(a.key) - 1)
}

func (a *automaton) insert(pattern string, encoded bool) int32 {
	s := int32(0)
	for i := range len(pattern) {
		next := a.edge(s, pattern[i])
		if next == 0 {
			next = a.add()
			a.key[next], a.depth[next] = pattern[i], a.depth[s]+1
			a.sibling[next], a.child[s] = a.child[s], next
		}
		s = next
		a.breaks[s] = a.breaks[s] || encoded
	}
	return s
}

func (a *automaton) edge(s int32, b byte) int32 {
	for e := a.child[s]; e != 0; e = a.sibling[e] {
		if a.key[e] == b {
			return e
		}
	}
	return 0
}

// link renumbers the states by depth, so that those with tables come first, and computes where failures lead.
func (a *automaton) link() *automaton {
	order := []int32{0}
	for i := 0; i < len(order); i++ {
		for e := a.child[order[i]]; e != 0; e = a.sibling[e] {
			order = append(order, e)
		}
	}
	number := make([]int32, len(order))
	for i, s := range order {
		number[s] = int32(i)
	}
	n := len(order)
	b := &automaton{
		key: make([]byte, n), child: make([]int32, n), sibling: make([]int32, n), fail: make([]int32, n),
		depth: make([]int32, n), plain: make([]int32, n), encoded: make([]int32, n), breaks: make([]bool, n),
		wrapped: make([]int32, n), outgoing: make([]bool, n),
	}
	for i, s := range order {
		b.key[i], b.depth[i], b.plain[i], b.encoded[i], b.breaks[i] = a.key[s], a.depth[s], a.plain[s], a.encoded[s], a.breaks[s]
		if a.child[s] != 0 {
			b.child[i] = number[a.child[s]]
		}
		if a.sibling[s] != 0 {
			b.sibling[i] = number[a.sibling[s]]
		}
	}
	for i := range n {
		for e := b.child[i]; e != 0; e = b.sibling[e] {
			if i > 0 {
				f := b.fail[i]
				for f != 0 && b.edge(f, b.key[e]) == 0 {
					f = b.fail[f]
				}
				b.fail[e] = b.edge(f, b.key[e])
			}
			f := b.fail[e]
			b.plain[e] = max(b.plain[e], b.plain[f])
			b.encoded[e] = max(b.encoded[e], b.encoded[f])
			b.outgoing[e] = b.plain[e] > 0 || b.encoded[e] > 0
			b.wrapped[e] = b.wrapped[f]
			if b.breaks[e] && b.depth[e] >= shortestWrap {
				b.wrapped[e] = e
			}
		}
	}
	for i := 0; i < n && b.depth[i] <= 1; i++ {
		var table [256]int32
		if i > 0 {
			table = b.tables[0] // children of the root fail to the root
		}
		for e := b.child[i]; e != 0; e = b.sibling[e] {
			table[b.key[e]] = e
		}
		b.tables = append(b.tables, table)
	}
	return b
}

// step is the state after one more byte.
func (a *automaton) step(s int32, c byte) int32 {
	from := s
	for int(s) >= len(a.tables) {
		for e := a.child[s]; e != 0; e = a.sibling[e] {
			if a.key[e] == c {
				return e
			}
		}
		s = a.fail[s]
	}
	next := a.tables[s][c]
	if next == 0 && (c == '\n' || c == '\r') {
		return a.wrapped[from]
	}
	return next
}
