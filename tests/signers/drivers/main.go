// Signs the vectors of a file with the Go signer: `main VECTORS` prints a JSON list of URLs and refusals.
package main

import (
	"encoding/json"
	"os"
	"time"

	"signers/countermark"
)

type document struct {
	Keys map[string]struct {
		Kid, Secret string
		PrivateKey  string `json:"private_key"`
	}
	Vectors []struct {
		Key, Audience, Base, Path string
		Operations                map[string]string
		Options                   struct {
			Life          int64
			Exact         bool
			NotBefore     int64 `json:"not_before"`
			IP            string
			TransformHash string `json:"transform_hash"`
			Now           int64
		}
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var told document
	if err := json.Unmarshal(text, &told); err != nil {
		panic(err)
	}
	var results []map[string]string
	for _, vector := range told.Vectors {
		key := told.Keys[vector.Key]
		material, make := key.Secret, countermark.New
		if key.PrivateKey != "" {
			material, make = key.PrivateKey, countermark.NewEd25519
		}
		signer, err := make(key.Kid, material, vector.Audience, vector.Base)
		url := ""
		if err == nil {
			url, err = signer.URL(vector.Path, vector.Operations, options(vector.Options))
		}
		if err != nil {
			results = append(results, map[string]string{"refused": err.Error()})
			continue
		}
		results = append(results, map[string]string{"url": url})
	}
	json.NewEncoder(os.Stdout).Encode(results)
}

func options(told struct {
	Life          int64
	Exact         bool
	NotBefore     int64 `json:"not_before"`
	IP            string
	TransformHash string `json:"transform_hash"`
	Now           int64
}) countermark.Options {
	made := countermark.Options{
		Life:          time.Duration(told.Life) * time.Second,
		Exact:         told.Exact,
		IP:            told.IP,
		TransformHash: told.TransformHash,
		Now:           time.Unix(told.Now, 0),
	}
	if told.NotBefore != 0 {
		made.NotBefore = time.Unix(told.NotBefore, 0)
	}
	return made
}
