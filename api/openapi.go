package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// OpenAPI writes the OpenAPI 3 document of a surface, made from its rows: parameters and bodies from the request types,
// answers from the result types, limits from the validate tags. The document is validated, indented, and the same for the
// same table.
func OpenAPI(g Group) ([]byte, error) {
	d := &document{schemas: openapi3.Schemas{}, names: map[reflect.Type]string{}, taken: map[string]reflect.Type{}}
	doc := &openapi3.T{
		OpenAPI: "3.0.3",
		Info:    &openapi3.Info{Title: g.Surface.Title, Version: g.Surface.Version},
		Paths:   openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas: d.schemas,
			SecuritySchemes: openapi3.SecuritySchemes{
				"token":  {Value: openapi3.NewSecurityScheme().WithType("apiKey").WithIn("header").WithName("X-Escape-Token")},
				"bearer": {Value: openapi3.NewSecurityScheme().WithType("http").WithScheme("bearer")},
				"basic":  {Value: openapi3.NewSecurityScheme().WithType("http").WithScheme("basic")},
			},
		},
		Security: openapi3.SecurityRequirements{{"token": {}}, {"bearer": {}}, {"basic": {}}},
	}
	for _, row := range append(append([]Row{}, g.Rows...), g.Shared...) {
		item := doc.Paths.Value(row.Path)
		if item == nil {
			item = &openapi3.PathItem{}
			doc.Paths.Set(row.Path, item)
		}
		item.SetOperation(row.Method, d.operation(row))
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the document of %s: %w", g.Surface.Name, err)
	}
	loader := openapi3.NewLoader()
	loaded, err := loader.LoadFromData(buf.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read the document of %s back: %w", g.Surface.Name, err)
	}
	if err := loaded.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the document of %s is not valid: %w", g.Surface.Name, err)
	}
	return buf.Bytes(), nil
}

// document collects the schemas of one surface.
type document struct {
	schemas openapi3.Schemas
	names   map[reflect.Type]string
	taken   map[string]reflect.Type
}

func (d *document) operation(row Row) *openapi3.Operation {
	op := openapi3.NewOperation()
	op.OperationID, op.Summary = row.Operation, row.Summary
	op.Responses = openapi3.NewResponsesWithCapacity(6)
	if row.Permission.Public {
		// A credential is not needed; one that is sent must be good.
		op.Security = &openapi3.SecurityRequirements{{}}
	} else {
		op.Extensions = map[string]any{"x-slipway-action": row.Permission.Action}
	}
	success := row.Success
	if success == 0 {
		success = http.StatusOK
	}
	good := openapi3.NewResponse().WithDescription(http.StatusText(success))
	if row.Handler == nil {
		good.Content = openapi3.NewContentWithSchema(openapi3.NewStringSchema(), []string{"text/plain"})
		op.Responses.Set(strconv.Itoa(success), &openapi3.ResponseRef{Value: good})
		return op
	}
	sh := row.Handler.shape()
	d.parameters(op, sh)
	if sh.body != nil {
		op.RequestBody = &openapi3.RequestBodyRef{Value: d.body(sh.body)}
	}
	good.Content = d.content(sh)
	op.Responses.Set(strconv.Itoa(success), &openapi3.ResponseRef{Value: good})
	for _, status := range d.refusals(row, sh) {
		op.Responses.Set(strconv.Itoa(status), &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription(http.StatusText(status))})
	}
	return op
}

// refusals are the statuses that the wrapper itself may answer for a row.
func (d *document) refusals(row Row, sh *shape) []int {
	list := []int{http.StatusUnauthorized}
	if !row.Probe {
		list = append(list, http.StatusTooManyRequests)
	}
	if len(sh.fields) > 0 || sh.body != nil {
		list = append(list, http.StatusBadRequest)
	}
	if !row.Permission.Public && !row.Permission.Filtered {
		list = append(list, http.StatusForbidden)
	}
	if len(row.params()) > 0 {
		list = append(list, http.StatusNotFound)
	}
	if sh.body != nil {
		list = append(list, http.StatusRequestEntityTooLarge)
	}
	return list
}

func (d *document) parameters(op *openapi3.Operation, sh *shape) {
	for _, f := range sh.fields {
		var p *openapi3.Parameter
		switch f.in {
		case inPath:
			p = openapi3.NewPathParameter(f.name)
		case inQuery:
			p = openapi3.NewQueryParameter(f.name)
		case inHeader:
			if f.name == "Accept" || f.name == "Content-Type" || f.name == "Authorization" {
				continue // the specification ignores parameters of these names
			}
			p = openapi3.NewHeaderParameter(f.name)
		}
		schema := d.schema(f.typ)
		limit(schema.Value, f.typ, f.validate)
		p.Schema = schema
		if strings.Contains(","+f.validate+",", ",required,") {
			p.Required = true
		}
		op.AddParameter(p)
	}
}

func (d *document) body(f *field) *openapi3.RequestBody {
	b := openapi3.NewRequestBody()
	if f.body == "raw" {
		b.Content = openapi3.NewContentWithSchema(openapi3.NewSchema(), []string{"*/*"})
		return b
	}
	b.Required = f.typ.Kind() != reflect.Pointer
	b.Content = openapi3.NewContentWithJSONSchemaRef(d.schema(f.typ))
	return b
}

func (d *document) content(sh *shape) openapi3.Content {
	if sh.stream {
		return openapi3.NewContentWithSchema(openapi3.NewSchema(), []string{"*/*"})
	}
	switch sh.result {
	case reflect.TypeFor[Empty]():
		return nil
	case reflect.TypeFor[Text]():
		return openapi3.NewContentWithSchema(openapi3.NewStringSchema(), []string{"text/plain"})
	case reflect.TypeFor[Response]():
		return openapi3.NewContentWithSchema(openapi3.NewStringSchema().WithFormat("binary"), []string{"*/*"})
	}
	return openapi3.NewContentWithJSONSchemaRef(d.schema(sh.result))
}

// Routes writes the table as tab-separated lines: method, path, operation, permission, surface. The permission is the
// policy's action, or public.
func Routes(groups []Group) []byte {
	var buf bytes.Buffer
	for _, g := range groups {
		for _, row := range append(append([]Row{}, g.Rows...), g.Shared...) {
			permission := row.Permission.Action
			if row.Permission.Public {
				permission = "public"
			}
			fmt.Fprintf(&buf, "%s\t%s\t%s\t%s\t%s\n", row.Method, row.Path, row.Operation, permission, g.Surface.Name)
		}
	}
	return buf.Bytes()
}
