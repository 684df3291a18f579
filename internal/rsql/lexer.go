package rsql

import (
	"fmt"
	"strings"
)

type tokenKind int

const (
	tokenEnd      tokenKind = iota
	tokenWord               // unquoted text: a field or a value
	tokenQuoted             // quoted text: a value
	tokenOpen               // (
	tokenClose              // )
	tokenAnd                // ; or the word and
	tokenOr                 // , or the word or
	tokenOperator           // ==, !=, <, =in= ...
)

// token is a piece of a filter. For words and quoted text, text is the value; for the rest it is the spelling.
type token struct {
	kind      tokenKind
	position  int
	text      string
	wildcards []int
}

// lexer cuts a filter into tokens, one at a time: what is wrong after the first syntax error must not hide that error.
type lexer struct {
	runes []rune
	next  int
}

// isBlank tells which characters separate tokens. Other Unicode spaces, such as NBSP, are ordinary characters.
func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// isReserved tells which characters cannot be part of unquoted text.
func isReserved(r rune) bool { return isBlank(r) || strings.ContainsRune(`"'();,=<>!~`, r) }

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// at gives the character at a position, or 0 after the end. NUL itself never gets here: Parse refuses it.
func (l *lexer) at(position int) rune {
	if position < len(l.runes) {
		return l.runes[position]
	}
	return 0
}

// scan gives the next token.
func (l *lexer) scan() (token, error) {
	for isBlank(l.at(l.next)) {
		// A word operator is a token together with the one blank on each side. So "and" can also be a field or a value,
		// and in "a==b and(c==d)" it is not an operator.
		if kind, length := l.wordOperator(); length > 0 {
			start := l.next + 1
			l.next += length
			return token{kind: kind, position: start, text: string(l.runes[start : l.next-1])}, nil
		}
		l.next++
	}
	start := l.next
	if start >= len(l.runes) {
		return token{kind: tokenEnd, position: len(l.runes)}, nil
	}
	single := func(kind tokenKind) (token, error) {
		l.next++
		return token{kind: kind, position: start, text: string(l.runes[start])}, nil
	}
	switch r := l.runes[start]; r {
	case '(':
		return single(tokenOpen)
	case ')':
		return single(tokenClose)
	case ';':
		return single(tokenAnd)
	case ',':
		return single(tokenOr)
	case '"', '\'':
		return l.quoted(r)
	case '=', '!', '<', '>', '~':
		return l.operator()
	}
	return l.word(), nil
}

// wordOperator looks for a word operator at a blank and gives its length with both blanks, or 0.
func (l *lexer) wordOperator() (tokenKind, int) {
	for _, operator := range []struct {
		word string
		kind tokenKind
	}{{"and", tokenAnd}, {"or", tokenOr}} {
		end := l.next + 1 + len(operator.word)
		if end < len(l.runes) && isBlank(l.runes[end]) &&
			Fold(string(l.runes[l.next+1:end])) == operator.word {
			return operator.kind, end + 1 - l.next
		}
	}
	return 0, 0
}

// word reads unquoted text. A backslash means itself in it, so a reserved character cannot be escaped.
func (l *lexer) word() token {
	start := l.next
	var text strings.Builder
	var wildcards []int
	for ; l.next < len(l.runes) && !isReserved(l.runes[l.next]); l.next++ {
		r := l.runes[l.next]
		if r == '*' {
			wildcards = append(wildcards, text.Len())
		}
		text.WriteRune(r)
	}
	return token{kind: tokenWord, position: start, text: text.String(), wildcards: wildcards}
}

// quoted reads quoted text. A backslash makes the next character mean itself; there are no \n or \u escapes.
func (l *lexer) quoted(quote rune) (token, error) {
	start := l.next
	var text strings.Builder
	var wildcards []int
	for l.next++; l.next < len(l.runes); l.next++ {
		r := l.runes[l.next]
		switch {
		case r == quote:
			l.next++
			return token{kind: tokenQuoted, position: start, text: text.String(), wildcards: wildcards}, nil
		case r == '\\':
			if l.next++; l.next == len(l.runes) {
				continue
			}
			r = l.runes[l.next]
		case r == '*':
			wildcards = append(wildcards, text.Len())
		}
		text.WriteRune(r)
	}
	return token{}, &Error{Code: CodeInvalidFilter, Position: start, Detail: "a quote is opened but not closed",
		Expected: []string{fmt.Sprintf("a closing %c", quote)}}
}

// operator reads a comparison operator: =letters=, !=, <, <=, > or >=. Whether =letters= exists is for the parser.
func (l *lexer) operator() (token, error) {
	start := l.next
	end := start + 1
	switch l.runes[start] {
	case '<', '>':
		if l.at(end) == '=' {
			end++
		}
	case '=':
		for isLetter(l.at(end)) {
			end++
		}
		fallthrough
	default:
		if l.runes[start] == '~' || l.at(end) != '=' {
			return token{}, &Error{Code: CodeInvalidFilter, Position: start, Expected: allOperators,
				Detail: fmt.Sprintf("%q is not an operator", l.runes[start])}
		}
		end++
	}
	l.next = end
	return token{kind: tokenOperator, position: start, text: string(l.runes[start:end])}, nil
}
