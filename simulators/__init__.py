"""A Postmart (SFTP) and a Vỏ Sò (HTTP) that keep the sources' contract, the world behind them, and the districts' forms.

Written from the contract alone: nothing here is shared with the pipeline's readers.
"""
