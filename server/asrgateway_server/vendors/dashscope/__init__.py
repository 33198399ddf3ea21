"""Alibaba Cloud's Model Studio: Paraformer, Fun-ASR and Qwen3-ASR."""
