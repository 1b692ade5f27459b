"""A sentence encoder converted: do the spiking network's embeddings say what the trained one's do?"""
