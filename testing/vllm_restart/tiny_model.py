"""Makes a Llama of some megabytes with random weights, and a tokenizer with a token a letter.

    usage: tiny_model.py DIRECTORY

It says nothing sensible, but what it says depends on every token of the prompt, and is the same
each time: the weights come from one seed.
"""

import string
import sys
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
    directory = Path(sys.argv[1])
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(directory)
    torch.manual_seed(SEED)
    LlamaForCausalLM(_config(len(tokenizer))).save_pretrained(directory)


def _tokenizer() -> PreTrainedTokenizerFast:
    pieces = [*SPECIAL, SPACE, *LETTERS]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    begin, end = SPECIAL
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token=end)


def _config(tokens: int) -> LlamaConfig:
    # With 256 tokens to an object of LMCache and 4 bytes to a number, an object has 2 MiB.
    return LlamaConfig(
        vocab_size=tokens,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=TOKENS_MAX,
        initializer_range=WEIGHTS_DEVIATE,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )


if __name__ == "__main__":
    main()
