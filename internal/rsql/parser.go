package rsql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Parse reads a filter, already decoded from its URL. The error is an [*Error].
//
// An empty or blank filter is an error: a caller for whom it means "all" asks before it parses.
func Parse(filter string) (Node, error) {
	if len(filter) > MaxBytes {
		end := MaxBytes
		for end > 0 && !utf8.RuneStart(filter[end]) {
			end--
		}
		return nil, &Error{Code: CodeTooComplex, Position: utf8.RuneCountInString(filter[:end]), Expected: []string{fmt.Sprintf("at most %d bytes", MaxBytes)},
			Detail: fmt.Sprintf("the filter has %d bytes", len(filter))}
	}
	if !utf8.ValidString(filter) {
		return nil, &Error{Code: CodeInvalidFilter, Position: firstInvalid(filter), Expected: []string{"text in UTF-8"}, Detail: "the filter is not valid UTF-8"}
	}
	if before, _, found := strings.Cut(filter, "\x00"); found {
		return nil, &Error{Code: CodeInvalidFilter, Position: utf8.RuneCountInString(before),
			Expected: []string{"any other character"}, Detail: "the filter holds a NUL character"}
	}
	p := parser{lexer: lexer{runes: []rune(filter)}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	node, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.current.kind != tokenEnd {
		return nil, p.unexpected(`";"`, `","`, "the end of the filter")
	}
	// A filter that is well formed but has an unknown operator is told about that only now: a mistake of form is the
	// more basic one.
	if p.deferred != nil {
		return nil, p.deferred
	}
	return node, nil
}

// firstInvalid counts the characters before the first byte that is not UTF-8.
func firstInvalid(text string) int {
	count := 0
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			break
		}
		count++
	}
	return count
}

// parser is a recursive descent with one token of lookahead. It recurses once per open parenthesis, MaxDepth bounds it.
type parser struct {
	lexer       lexer
	current     token
	depth       int
	comparisons int
	values      int
	deferred    error
}

func (p *parser) advance() (err error) {
	p.current, err = p.lexer.scan()
	return err
}

func (p *parser) unexpected(expected ...string) error {
	detail := "unexpected " + excerpt(p.current.text)
	if p.current.kind == tokenEnd {
		detail = "the filter ends too early"
	}
	return &Error{Code: CodeInvalidFilter, Position: p.current.position, Expected: expected, Detail: detail}
}

// tooComplex is the error of a limit: what there are more of than the limit allows, at a position.
func (p *parser) tooComplex(position, limit int, what string) error {
	return &Error{Code: CodeTooComplex, Position: position, Expected: []string{fmt.Sprintf("at most %d %s", limit, what)}, Detail: "too many " + what}
}

// or reads: and { OR and }
func (p *parser) or() (Node, error) {
	parts, err := p.chain(tokenOr, p.and)
	if err != nil || len(parts) > 1 {
		return Or(parts), err
	}
	return parts[0], nil
}

// and reads: constraint { AND constraint }
func (p *parser) and() (Node, error) {
	parts, err := p.chain(tokenAnd, p.constraint)
	if err != nil || len(parts) > 1 {
		return And(parts), err
	}
	return parts[0], nil
}

func (p *parser) chain(separator tokenKind, part func() (Node, error)) ([]Node, error) {
	var parts []Node
	for {
		node, err := part()
		if err != nil {
			return nil, err
		}
		parts = append(parts, node)
		if p.current.kind != separator {
			return parts, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// constraint reads: "(" or ")" | comparison
func (p *parser) constraint() (Node, error) {
	switch p.current.kind {
	case tokenWord:
		return p.comparison()
	case tokenOpen:
	default:
		return nil, p.unexpected("a field", `"("`)
	}
	if p.depth == MaxDepth {
		return nil, p.tooComplex(p.current.position, MaxDepth, "parentheses inside each other")
	}
	p.depth++
	if err := p.advance(); err != nil {
		return nil, err
	}
	node, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.current.kind != tokenClose {
		return nil, p.unexpected(`";"`, `","`, `")"`)
	}
	p.depth--
	return node, p.advance()
}

// comparison reads: field operator arguments
func (p *parser) comparison() (Node, error) {
	comparison := &Comparison{Field: p.current.text, Position: p.current.position}
	if p.comparisons++; p.comparisons > MaxComparisons {
		return nil, p.tooComplex(p.current.position, MaxComparisons, "comparisons")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.current.kind != tokenOperator {
		return nil, p.unexpected(allOperators...)
	}
	spelling := p.current.text
	operator, known := operators[spelling]
	comparison.Operator, comparison.OperatorPosition = operator, p.current.position
	if !known {
		p.postpone(&Error{Code: CodeInvalidFilter, Position: p.current.position, Expected: allOperators,
			Detail: "unknown operator " + excerpt(spelling)})
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.arguments(comparison); err != nil {
		return nil, err
	}
	if known && !operator.takesList() && len(comparison.Values) > 1 {
		p.postpone(&Error{Code: CodeInvalidFilter, Position: comparison.Values[1].Position, Expected: []string{`")"`},
			Detail: fmt.Sprintf("operator %q takes one value", spelling)})
	}
	return comparison, nil
}

func (p *parser) postpone(err error) {
	if p.deferred == nil {
		p.deferred = err
	}
}

// arguments reads: "(" value { OR value } ")" | value
func (p *parser) arguments(comparison *Comparison) error {
	if p.current.kind != tokenOpen {
		return p.value(comparison, "a value", `"("`)
	}
	for {
		// The current token is the open parenthesis or the separator.
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.value(comparison, "a value"); err != nil {
			return err
		}
		if p.current.kind == tokenClose {
			return p.advance()
		}
		if p.current.kind != tokenOr {
			return p.unexpected(`","`, `")"`)
		}
	}
}

func (p *parser) value(comparison *Comparison, expected ...string) error {
	if p.current.kind != tokenWord && p.current.kind != tokenQuoted {
		return p.unexpected(expected...)
	}
	if len(comparison.Values) == MaxListValues {
		return p.tooComplex(p.current.position, MaxListValues, "values in a list")
	}
	if p.values++; p.values > MaxValues {
		return p.tooComplex(p.current.position, MaxValues, "values in all")
	}
	comparison.Values = append(comparison.Values,
		Value{Text: p.current.text, Wildcards: p.current.wildcards, Position: p.current.position})
	return p.advance()
}
