package rsql

// Operator is a comparison operator in its canonical spelling.
type Operator string

const (
	Equal          Operator = "=="
	NotEqual       Operator = "!="
	Less           Operator = "<"
	LessOrEqual    Operator = "<="
	Greater        Operator = ">"
	GreaterOrEqual Operator = ">="
	In             Operator = "=in="
	NotIn          Operator = "=out="
)

// operators maps every spelling to its operator. Spellings are case-sensitive.
var operators = map[string]Operator{
	"==":    Equal,
	"!=":    NotEqual,
	"<":     Less,
	"=lt=":  Less,
	"<=":    LessOrEqual,
	"=le=":  LessOrEqual,
	">":     Greater,
	"=gt=":  Greater,
	">=":    GreaterOrEqual,
	"=ge=":  GreaterOrEqual,
	"=in=":  In,
	"=out=": NotIn,
}

// allOperators is what the parser expects between a field and its value.
var allOperators = []string{"==", "!=", "<", "<=", ">", ">=", "=lt=", "=le=", "=gt=", "=ge=", "=in=", "=out="}

// takesList tells whether the operator takes a list of values.
func (o Operator) takesList() bool { return o == In || o == NotIn }

// Negative tells whether the operator is the complement of another: != of ==, =out= of =in=.
func (o Operator) Negative() bool { return o == NotEqual || o == NotIn }

// Complement gives the operator that holds for all that this one does not hold for; == and its like alone have one.
func (o Operator) Complement() Operator {
	return map[Operator]Operator{Equal: NotEqual, NotEqual: Equal, In: NotIn, NotIn: In}[o]
}

// orders tells whether the operator compares by order.
func (o Operator) orders() bool {
	return o == Less || o == LessOrEqual || o == Greater || o == GreaterOrEqual
}
