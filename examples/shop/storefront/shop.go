package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Product is something to buy. The price is in cents.
type Product struct {
	Name  string `json:"name"`
	Price int    `json:"price"`
}

// Front is what customers see.
type Front struct {
	Version     string    `json:"version"`
	Environment string    `json:"environment"`
	Greeting    string    `json:"greeting"`
	Products    []Product `json:"products"`
}

var products = []Product{
	{Name: "tea", Price: 450},
	{Name: "kettle", Price: 3900},
}

// newShop serves the front at / and nothing else.
func newShop(version, environment, greeting string) http.Handler {
	front := Front{Version: version, Environment: environment, Greeting: greeting, Products: products}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(front) // the customer may have gone
	})
	return mux
}

// readFront reads the answer of GET /.
func readFront(response *http.Response) (Front, error) {
	var front Front
	if response.StatusCode != http.StatusOK {
		return front, fmt.Errorf("the storefront answers %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&front); err != nil {
		return front, fmt.Errorf("the storefront's answer: %w", err)
	}
	return front, nil
}
