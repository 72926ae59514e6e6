from kinhteso.preload import preload

preload()
