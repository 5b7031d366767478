"""Makes a Llama of some megabytes with random weights, and a tokenizer with a token a letter.

    usage: tiny_model.py DIRECTORY [--hidden N] [--layers N] [--heads N]

It says nothing sensible, but what it says depends on every token of the prompt, and is the same
each time: the weights come from one seed.
"""

import argparse
import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 0
SPECIAL = ("<s>", "</s>")
LETTERS = string.ascii_letters + string.digits + string.punctuation
# How a byte-level tokenizer writes a space.
SPACE = "\u0120"
# Weights drawn more widely than a model's that will be trained: else it repeats one token.
WEIGHTS_DEVIATE = 0.15
TOKENS_MAX = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    # With 256 tokens to an object of LMCache and 4 bytes to a number, an object has 2 MiB.
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(options.directory)
    torch.manual_seed(SEED)
    LlamaForCausalLM(_config(len(tokenizer), options)).save_pretrained(options.directory)


def _tokenizer() -> PreTrainedTokenizerFast:
    pieces = [*SPECIAL, SPACE, *LETTERS]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    begin, end = SPECIAL
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token=end)


def _config(tokens: int, sizes: argparse.Namespace) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=tokens,
        hidden_size=sizes.hidden,
        intermediate_size=2 * sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        max_position_embeddings=TOKENS_MAX,
        initializer_range=WEIGHTS_DEVIATE,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )


if __name__ == "__main__":
    main()
