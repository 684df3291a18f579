package rsql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Compile checks a filter against the table and gives its condition in a dialect.
//
// An [*Error] says what the client did wrong: a field that does not exist, an operator that the field does not take, a
// value that is not of its type. Any other error is a mistake in the table.
func (f *Fields) Compile(filter Node, d Dialect) (Condition, error) {
	w := d.writer()
	if w == nil {
		return Condition{}, fmt.Errorf("compile a filter: %s %d", d, int(d))
	}
	e, err := (&compiler{fields: f, dialect: d, writer: w}).node(filter)
	return e.Condition, err
}

type compiler struct {
	fields  *Fields
	dialect Dialect
	writer  writer
}

func (c *compiler) node(node Node) (expression, error) {
	switch node := node.(type) {
	case And:
		return c.group(node, allOf)
	case Or:
		return c.group(node, anyOf)
	case *Comparison:
		if len(node.Values) == 0 {
			return expression{}, fmt.Errorf("compile a filter: comparison of %s without a value", node.Field)
		}
		return c.comparison(node)
	}
	return expression{}, fmt.Errorf("compile a filter: unknown node %T", node)
}

func (c *compiler) group(nodes []Node, join func([]expression) expression) (expression, error) {
	if len(nodes) == 0 {
		return expression{}, errors.New("compile a filter: a group without parts")
	}
	list := make([]expression, len(nodes))
	for i, node := range nodes {
		var err error
		if list[i], err = c.node(node); err != nil {
			return expression{}, err
		}
	}
	return join(list), nil
}

func (c *compiler) comparison(comparison *Comparison) (expression, error) {
	field, key, hasKey, err := c.fields.find(comparison)
	if err != nil {
		return expression{}, err
	}
	if !slices.Contains(field.Operators, comparison.Operator) {
		var allowed []string
		for _, operator := range field.Operators {
			allowed = append(allowed, string(operator))
		}
		return expression{}, &Error{Code: CodeOperatorNotAllowed, Position: comparison.OperatorPosition, Expected: allowed,
			Detail: fmt.Sprintf("field %s does not take operator %s", field.Name, comparison.Operator)}
	}
	source := field.source(c.dialect)
	if field.Type == Search {
		return c.search(source, comparison.Values[0])
	}
	if comparison.Operator.orders() {
		return c.order(source, field.Type, comparison)
	}
	var t tests
	if err := t.read(field, comparison); err != nil {
		return expression{}, err
	}
	negative := comparison.Operator.Negative()
	switch source := source.(type) {
	case Column:
		folded := operand(source.Folded)
		if source.Folded == "" {
			folded = c.writer.fold(raw(source.Expr))
		}
		return c.scalar(operand(source.Expr), folded, field.Type, t, negative), nil
	case JSONObject:
		if !hasKey {
			return c.wholeObject(c.writer.emptyObject(source), comparison)
		}
		return c.member(source, key, t, negative), nil
	case ChildObject:
		if !hasKey {
			full := concat(raw("NOT "), c.writer.emptyObject(JSONObject{Expr: source.Expr}))
			return c.wholeObject(concat(raw("NOT "), source.exists(full)), comparison)
		}
		return c.childMember(source, key, t, negative), nil
	}
	return c.array(source, t, negative), nil
}

// search looks for a term. A row whose text is NULL does not have it.
func (c *compiler) search(source Source, value Value) (expression, error) {
	term, err := searchTerm(value)
	if err != nil {
		return expression{}, err
	}
	if source, ok := source.(SearchText); ok {
		return c.writer.like(operand(source.Expr), ContainsPattern(term)), nil
	}
	text, args := source.(SearchFunc)(term)
	parts := strings.Split(text, "?")
	if len(parts) != len(args)+1 {
		return expression{}, fmt.Errorf("compile a search: %d parameters for %d values", len(parts)-1, len(args))
	}
	return parenthesized(expression{Condition: Condition{parts: parts, args: args}}), nil
}

// order compares by order. It is never true for NULL. A date stands for its first moment.
func (c *compiler) order(source Source, t Type, comparison *Comparison) (expression, error) {
	value := comparison.Values[0]
	var limit expression
	switch t {
	case Timestamp:
		from, _, err := parseTime(value)
		if err != nil {
			return expression{}, err
		}
		limit = c.writer.timestamp(from)
	case Integer:
		number, err := parseInteger(value)
		if err != nil {
			return expression{}, err
		}
		limit = c.writer.integer(number)
	default:
		return expression{}, fmt.Errorf("compile a filter: type %s has no order", t)
	}
	return concat(operand(source.(Column).Expr), raw(" "+string(comparison.Operator)+" "), limit), nil
}

// scalar tests a single value that may be NULL.
//
// Every alternative but the one for empty is NULL where the value is NULL, which WHERE takes for false. The complement
// cannot be NOT of that, since NOT NULL is NULL again: it says itself what it does with NULL.
func (c *compiler) scalar(value, folded expression, t Type, tests tests, negative bool) expression {
	var list []expression
	add := func(parts ...expression) { list = append(list, concat(parts...)) }
	not := ""
	if negative {
		not = "NOT "
	}
	if len(tests.exact) == 1 {
		add(value, raw(map[bool]string{false: " = ", true: " <> "}[negative]), c.typed(t, tests.exact[0]))
	} else if len(tests.exact) > 1 {
		operands := make([]expression, len(tests.exact))
		for i, v := range tests.exact {
			operands[i] = c.typed(t, v)
		}
		add(value, raw(" "+not+"IN ("), separated(operands, ", "), raw(")"))
	}
	for _, pattern := range tests.patterns {
		like := c.writer.like(folded, pattern)
		if negative {
			like = concat(raw("NOT ("), like, raw(")"))
		}
		list = append(list, like)
	}
	for _, span := range tests.spans {
		if span[0].Equal(span[1]) {
			add(value, raw(map[bool]string{false: " = ", true: " <> "}[negative]), c.writer.timestamp(span[0]))
		} else {
			add(value, raw(" "+not+"BETWEEN "), c.writer.timestamp(span[0]), raw(" AND "), c.writer.timestamp(span[1]))
		}
	}
	null := concat(value, raw(" IS NULL"))
	isText := t == Text || t == Object
	switch {
	case !negative && tests.empty:
		list = append(list, null)
		if isText {
			add(value, raw(" = ''"))
		}
		return anyOf(list)
	case !negative:
		return anyOf(list)
	case tests.empty && isText:
		add(value, raw(" <> ''"))
		return allOf(list)
	case tests.empty:
		add(value, raw(" IS NOT NULL"))
		return allOf(list)
	}
	return anyOf([]expression{null, allOf(list)})
}

// typed binds a value of a type.
func (c *compiler) typed(t Type, value any) expression {
	switch t {
	case Integer:
		return c.writer.integer(value)
	case UUID:
		return c.writer.id(value)
	}
	return bound(value)
}

// array tests the elements of an array.
func (c *compiler) array(source Source, tests tests, negative bool) expression {
	from, element := c.writer.elements(source)
	var list []expression
	if tests.empty {
		filled, ok := c.writer.filled(source)
		if !ok {
			filled = raw("EXISTS (SELECT 1 FROM " + from + ")")
		}
		list = append(list, concat(raw("NOT "), filled))
	}
	if len(tests.exact) > 0 && len(tests.patterns) == 0 {
		if contains, ok := c.writer.contains(source, tests.exact); ok {
			list = append(list, neverNull(contains, negative))
			tests.exact = nil
		}
	}
	if len(tests.exact)+len(tests.patterns) > 0 {
		folded := c.writer.fold(raw(element))
		if rows, ok := source.(ChildRows); ok && rows.Folded != "" {
			folded = operand(rows.Folded)
		}
		test := c.scalar(operand(element), folded, Array, tests.withoutEmpty(), false)
		test = concat(raw("EXISTS (SELECT 1 FROM "+from+" AND "), test, raw(")"))
		if may, ok := c.mayMatch(source, "", tests); ok {
			test = onlyIf(may, test)
		}
		list = append(list, test)
	}
	if negative {
		return concat(raw("NOT "), parenthesized(anyOf(list)))
	}
	return anyOf(list)
}

// withoutEmpty is the tests for the elements of an array, or for rows that may not be there: empty is about all of them.
func (t tests) withoutEmpty() tests {
	t.empty = false
	return t
}

// member tests the text of an object under a key.
func (c *compiler) member(source JSONObject, key string, tests tests, negative bool) expression {
	if len(tests.exact) > 0 && len(tests.patterns) == 0 && !tests.empty {
		if has, ok := c.writer.hasMember(source, key, tests.exact); ok {
			has = neverNull(has, negative)
			if negative {
				return concat(raw("NOT "), parenthesized(has))
			}
			return has
		}
	}
	if tests.empty && len(tests.exact)+len(tests.patterns) == 0 {
		if filled, ok := c.writer.filledMember(source, key); ok {
			if negative {
				return filled
			}
			return concat(raw("NOT "), filled)
		}
	}
	value := c.writer.member(source, key)
	folded := c.writer.fold(value)
	may, ok := c.mayMatch(source, key, tests)
	if !ok {
		return c.scalar(value, folded, Object, tests, negative)
	}
	match := neverNull(onlyIf(may, c.scalar(value, folded, Object, tests, false)), negative)
	if negative {
		return concat(raw("NOT "), parenthesized(match))
	}
	return match
}

// mayMatch is the writer's test for the pattern of a comparison, if it has one.
func (c *compiler) mayMatch(source Source, key string, t tests) (expression, bool) {
	if len(t.patterns) != 1 || len(t.exact) > 0 || t.empty {
		return expression{}, false
	}
	return c.writer.mayMatch(source, key, t.patterns[0])
}

// wholeObject tests an object without a key: only whether it is empty, for which empty is the test.
func (c *compiler) wholeObject(empty expression, comparison *Comparison) (expression, error) {
	if comparison.Operator.takesList() || comparison.Values[0].Text != "" {
		return expression{}, &Error{Code: CodeUnknownField, Position: comparison.Position,
			Expected: []string{comparison.Field + ".<key>"},
			Detail:   fmt.Sprintf("field %s is an object and is compared by key", comparison.Field)}
	}
	if comparison.Operator == NotEqual {
		return concat(raw("NOT "), parenthesized(empty)), nil
	}
	return empty, nil
}

// exists tests whether there is a row that meets a test.
func (s ChildObject) exists(test expression) expression {
	return concat(raw("EXISTS (SELECT 1 FROM "+s.From+" AND "), test, raw(")"))
}

// childMember tests the text under a key of an object in another table. Each test is whether there is such a row, which the
// database can ask once for all.
func (c *compiler) childMember(source ChildObject, key string, t tests, negative bool) expression {
	object := JSONObject{Expr: source.Expr}
	var list []expression
	if t.empty {
		list = append(list, concat(raw("NOT "), source.exists(c.member(object, key, tests{empty: true}, true))))
	}
	if t = t.withoutEmpty(); len(t.exact)+len(t.patterns) > 0 {
		list = append(list, source.exists(c.member(object, key, t, false)))
	}
	if negative {
		return concat(raw("NOT "), parenthesized(anyOf(list)))
	}
	return anyOf(list)
}

// neverNull makes a test false where it is NULL, if its complement is asked for. Otherwise it is left as it is, since an
// index serves only the bare operator.
func neverNull(test expression, negative bool) expression {
	if !negative {
		return test
	}
	return concat(raw("COALESCE("), test, raw(", false)"))
}

func parenthesized(e expression) expression { return concat(raw("("), e, raw(")")) }
