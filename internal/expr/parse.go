package expr

import (
	"fmt"
	"strconv"
	"strings"
)

// node is a part of a parsed expression.
type node interface {
	offset() int
	walk(func(node))
}

type position int

func (p position) offset() int { return int(p) }

type (
	literal struct {
		position
		value any
	}
	variable struct {
		position
		name string
	}
	listOf struct {
		position
		items []node
	}
	field struct { // of.name
		position
		of   node
		name string
	}
	index struct { // of[at]
		position
		of, at node
	}
	slice struct { // of[from:to]; both may be nil
		position
		of, from, to node
	}
	call struct { // __name(args), or of.name(args) with of as the first argument
		position
		name string
		args []node
	}
)

func (n literal) walk(f func(node))  { f(n) }
func (n variable) walk(f func(node)) { f(n) }
func (n listOf) walk(f func(node))   { f(n); walkAll(f, n.items...) }
func (n field) walk(f func(node))    { f(n); n.of.walk(f) }
func (n index) walk(f func(node))    { f(n); walkAll(f, n.of, n.at) }
func (n slice) walk(f func(node))    { f(n); walkAll(f, n.of, n.from, n.to) }
func (n call) walk(f func(node))     { f(n); walkAll(f, n.args...) }

func walkAll(f func(node), nodes ...node) {
	for _, n := range nodes {
		if n != nil {
			n.walk(f)
		}
	}
}

type parser struct {
	source string
	at     int
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{Source: p.source, Offset: p.at, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) skipSpace() {
	for p.at < len(p.source) && strings.IndexByte(" \t\r\n", p.source[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) peek() byte {
	if p.at < len(p.source) {
		return p.source[p.at]
	}
	return 0
}

// accept takes one character if it is the next one after space.
func (p *parser) accept(c byte) bool {
	p.skipSpace()
	if p.peek() == c && p.at < len(p.source) {
		p.at++
		return true
	}
	return false
}

// expression reads "$" and what follows it.
func (p *parser) expression(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail("the expression nests deeper than %d", maxDepth)
	}
	start := p.at
	if !p.accept('$') {
		return nil, p.fail("expected '$'")
	}
	var head node
	if strings.HasPrefix(p.source[p.at:], "__") {
		p.at += 2
		name := p.identifier(false)
		if name == "" {
			return nil, p.fail("expected the name of a function after '$__'")
		}
		if _, ok := functions[name]; !ok {
			return nil, &Error{Source: p.source, Offset: start, Message: fmt.Sprintf("there is no function '%s'", name)}
		}
		if !p.accept('(') {
			return nil, p.fail("expected '(' after the function '%s'", name)
		}
		args, err := p.arguments(depth, ')')
		if err != nil {
			return nil, err
		}
		head = call{position(start), name, args}
	} else {
		name := p.identifier(true)
		if name == "" {
			return nil, p.fail("expected a name after '$'")
		}
		head = variable{position(start), name}
	}
	return p.suffixes(head, depth)
}

// suffixes reads fields, calls, indexes and slices behind a value.
func (p *parser) suffixes(head node, depth int) (node, error) {
	for count := 0; ; count++ {
		if count > maxDepth {
			return nil, p.fail("the expression is a chain of more than %d parts", maxDepth)
		}
		start := p.at
		switch p.peek() {
		case '.':
			p.at++
			name := p.identifier(false)
			if name == "" {
				return nil, p.fail("expected a name after '.'")
			}
			if p.peek() != '(' {
				head = field{position(start), head, name}
				continue
			}
			name = strings.TrimPrefix(name, "__")
			if _, ok := functions[name]; !ok {
				return nil, &Error{Source: p.source, Offset: start, Message: fmt.Sprintf("there is no function '%s'", name)}
			}
			p.at++
			args, err := p.arguments(depth, ')')
			if err != nil {
				return nil, err
			}
			head = call{position(start), name, append([]node{head}, args...)}
		case '[':
			p.at++
			next, err := p.brackets(head, start, depth)
			if err != nil {
				return nil, err
			}
			head = next
		default:
			return head, nil
		}
	}
}

func (p *parser) brackets(of node, start, depth int) (node, error) {
	var from, to node
	var err error
	if p.skipSpace(); p.peek() != ':' {
		if from, err = p.argument(depth + 1); err != nil {
			return nil, err
		}
		if p.accept(']') {
			return index{position(start), of, from}, nil
		}
	}
	if !p.accept(':') {
		return nil, p.fail("expected ']' or ':'")
	}
	if p.skipSpace(); p.peek() != ']' {
		if to, err = p.argument(depth + 1); err != nil {
			return nil, err
		}
	}
	if !p.accept(']') {
		return nil, p.fail("expected ']'")
	}
	return slice{position(start), of, from, to}, nil
}

func (p *parser) arguments(depth int, end byte) ([]node, error) {
	var args []node
	if p.accept(end) {
		return args, nil
	}
	for {
		arg, err := p.argument(depth + 1)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		if p.accept(end) {
			return args, nil
		}
		if !p.accept(',') {
			return nil, p.fail("expected ',' or '%c'", end)
		}
	}
}

// argument reads an expression, a text in double quotes, a whole number, true, false or a list in brackets.
func (p *parser) argument(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail("the expression nests deeper than %d", maxDepth)
	}
	p.skipSpace()
	start := p.at
	switch c := p.peek(); {
	case c == '$':
		return p.expression(depth)
	case c == '"':
		return p.text()
	case c == '[':
		p.at++
		items, err := p.arguments(depth, ']')
		return listOf{position(start), items}, err
	case c == '-' || c >= '0' && c <= '9':
		p.at++
		for p.peek() >= '0' && p.peek() <= '9' {
			p.at++
		}
		number, err := strconv.ParseInt(p.source[start:p.at], 10, 64)
		if err != nil {
			return nil, &Error{Source: p.source, Offset: start, Message: fmt.Sprintf("'%s' is not a whole number", rest(p.source[start:p.at]))}
		}
		return literal{position(start), number}, nil
	}
	switch word := p.identifier(false); word {
	case "true", "false":
		return literal{position(start), word == "true"}, nil
	case "":
		return nil, p.fail("expected a value")
	default:
		p.at = start
		return nil, p.fail("expected a value, got '%s': texts stand in double quotes, variables start with '$'", rest(word))
	}
}

// text reads a text in double quotes. A backslash takes the next character as it is, save for \n, \r and \t.
func (p *parser) text() (node, error) {
	start := p.at
	var out strings.Builder
	for p.at++; p.at < len(p.source); p.at++ {
		switch c := p.source[p.at]; c {
		case '"':
			p.at++
			return literal{position(start), out.String()}, nil
		case '\\':
			p.at++
			switch escaped := p.peek(); escaped {
			case 'n':
				out.WriteByte('\n')
			case 'r':
				out.WriteByte('\r')
			case 't':
				out.WriteByte('\t')
			case 0:
				return nil, p.fail("the text has no end")
			default:
				out.WriteByte(escaped)
			}
		default:
			out.WriteByte(c)
		}
	}
	return nil, &Error{Source: p.source, Offset: start, Message: "the text has no end"}
}

// identifier reads a name. Names of variables may contain "/", since a dependency without an alias is called by its
// project and name.
func (p *parser) identifier(slash bool) string {
	start := p.at
	for p.at < len(p.source) {
		c := p.source[p.at]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		other := c >= '0' && c <= '9' || c == '-' || slash && c == '/'
		if !letter && (!other || p.at == start) {
			break
		}
		p.at++
	}
	return p.source[start:p.at]
}
