def cases(folder, *a): return []
