package inventory

import (
	"bytes"
	"fmt"
	"html"
	"unicode/utf8"
)

// Measures of the picture, in pixels.
const (
	svgRow      = 44 // from one box to the next
	svgBox      = 30 // height of a box
	svgGap      = 120
	svgMargin   = 20
	svgChar     = 7.5 // width of a character of the monospaced font
	svgMaxNodes = 500 // of one column; the rest is counted
)

var svgColours = map[string]string{NodeMain: "#1f4e79", NodeConsumer: "#7a4a00", NodeProvider: "#2b6a2b", NodeUpstream: "#444444",
	NodeDownstream: "#444444", NodeExtension: "#5b3a80"}

// SVG draws the graph for people: who depends on the release at the left, the release in the middle, what it depends on
// and offers at the right. Labels are text from outside and are escaped.
func (g *Graph) SVG() []byte {
	var columns [3][]Node
	place := map[string]int{}
	for _, n := range g.Nodes {
		if n.Type == NodeMain {
			place[n.ID] = 1
		}
	}
	for _, e := range g.Edges {
		// Edges that lead to the main node come from the left.
		if place[e.To] == 1 {
			place[e.From] = 0
		} else if place[e.From] == 1 {
			place[e.To] = 2
		}
	}
	widths, rows := [3]float64{}, 1
	for _, n := range g.Nodes {
		c := place[n.ID]
		switch {
		case len(columns[c]) == svgMaxNodes:
			columns[c] = append(columns[c], Node{Type: n.Type, Label: "and more"})
		case len(columns[c]) < svgMaxNodes:
			columns[c] = append(columns[c], n)
		}
		widths[c] = max(widths[c], float64(utf8.RuneCountInString(n.Label))*svgChar+24)
		rows = max(rows, len(columns[c]))
	}
	left := [3]float64{svgMargin}
	for c := 1; c < 3; c++ {
		left[c] = left[c-1] + widths[c-1]
		if widths[c-1] > 0 {
			left[c] += svgGap
		}
	}
	height := rows*svgRow + 2*svgMargin
	y := func(c, i int) int { return svgMargin + (rows-len(columns[c]))*svgRow/2 + i*svgRow + (svgRow-svgBox)/2 }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" font-family="monospace" font-size="12">`, left[2]+widths[2]+svgMargin, height)
	b.WriteString(`<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#888888"/></marker></defs>`)
	kinds := map[string]string{}
	for _, e := range g.Edges {
		kinds[e.From+"\x00"+e.To] = e.Type
	}
	mainID, mainY := "", 0
	if len(columns[1]) > 0 {
		mainID, mainY = columns[1][0].ID, y(1, 0)+svgBox/2
	}
	line := func(x1 float64, y1 int, x2 float64, y2 int, kind string) {
		fmt.Fprintf(&b, `<line x1="%.0f" y1="%d" x2="%.0f" y2="%d" stroke="#888888" marker-end="url(#arrow)"/>`, x1, y1, x2, y2)
		fmt.Fprintf(&b, `<text x="%.0f" y="%d" font-size="10" text-anchor="middle" fill="#666666">%s</text>`, (x1+x2)/2, (y1+y2)/2-4, html.EscapeString(kind))
	}
	for i, n := range columns[0] {
		if n.ID != "" {
			line(left[0]+widths[0], y(0, i)+svgBox/2, left[1], mainY, kinds[n.ID+"\x00"+mainID])
		}
	}
	for i, n := range columns[2] {
		if n.ID != "" {
			line(left[1]+widths[1], mainY, left[2], y(2, i)+svgBox/2, kinds[mainID+"\x00"+n.ID])
		}
	}
	for c := range columns {
		for i, n := range columns[c] {
			fmt.Fprintf(&b, `<rect x="%.0f" y="%d" width="%.0f" height="%d" rx="4" fill="#ffffff" stroke="%s" stroke-width="%d"/>`,
				left[c], y(c, i), widths[c], svgBox, svgColours[n.Type], 1+boolInt(n.Type == NodeMain))
			fmt.Fprintf(&b, `<text x="%.0f" y="%d" text-anchor="middle" fill="%s"><title>%s</title>%s</text>`,
				left[c]+widths[c]/2, y(c, i)+svgBox/2+4, svgColours[n.Type], n.Type, html.EscapeString(n.Label))
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
