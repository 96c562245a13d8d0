"""Texts in the style of real cards, written for these tests after the layouts of publishers; none is a copy."""

# Layout of Qwen's cards: a list of labels, one of them with two numbers.
QWEN = """---
library_name: transformers
license: apache-2.0
license_link: https://example.org/LICENSE
pipeline_tag: text-generation
base_model:
- Org/Thing-30B-A3B-Base
language: [en, no, zh]
---

# Thing-30B-A3B

Facts of this one:
- Type: Causal language model
- Number of Parameters: 30.5B in total and 3.3B activated
- Number of Paramaters (Non-Embedding): 29.9B
- Number of Layers: 48
- Context Length: 32,768 natively and [131,072 tokens with YaRN](#long).

It was trained on 36T tokens.
```shell
serve --max-model-len 262144  # parameters: 99B
```
"""

# Layout of DeepSeek's cards: a download table of several models, then benchmark tables with parameter rows.
DEEPSEEK = """
The whole has 671B total parameters with 37B
activated for each token.

| **Model** | **#Total Params** | **#Activated Params** | **Context Length** |
| :---: | :---: | :---: | :---: |
| Sea-V3-Lite | 16B | 2.4B | 32K |
| Sea-V3 | 671B | 37B | 128K |

| | Benchmark | Sea-V2 | Other 405B | Sea V3 |
|---|---|---|---|---|
| | # Activated Params | 21B | 405B | 37B |
| | # Total Params | 236B | 405B | 671B |
| English | MMLU | 78.4 | 84.4 | 87.1 |
"""

# Layout of Llama's cards: an HTML table with cells that span rows, one card for three sizes.
LLAMA = """
<table><tr><td></td><td><strong>Training data</strong></td><td><strong>Params</strong></td>
<td><strong>Context length</strong></td></tr>
<tr><td rowspan="3">Alpaca 3.1 (text only)</td><td rowspan="3">Public data</td><td>8B</td><td>128k</td></tr>
<tr><td>70B</td><td>128k</td></tr><tr><td>405B</td><td>128k</td></tr></table>
"""

# Layout of gpt-oss' card: a list that names both sizes, each with its figures in brackets.
OSS = """
Two of them are here:
- `free-oss-120b` — for data centres (117B parameters with 5.1B active parameters)
- `free-oss-20b` — for desktops (21B parameters with 3.6B active parameters)
"""

# Layout of Mistral's cards: prose and a list of features.
MISTRAL = """
With 24 billion parameters it reads **long context up to 128k tokens**.
- **Context Window:** A 128k context window.
- **Tokenizer:** a vocabulary size of 131k.
"""

# Layout of quantizers' cards: hardly any text, all in the metadata.
QUANTIZER = """---
quantized_by: somebody
base_model: Org/Thing-30B-A3B
base_model_relation: quantized
license: other
license_name: thing-community
tags: [gguf, imatrix, conversational]
---
## imatrix quantizations of Thing-30B-A3B

| File | Type | Size |
|---|---|---|
| Thing-30B-A3B-Q4_K_M.gguf | Q4_K_M | 18.6GB |
| Thing-30B-A3B-IQ2_XXS.gguf | IQ2_XXS | 8.1GB |
"""

REPO = "Org/Thing-30B-A3B"
